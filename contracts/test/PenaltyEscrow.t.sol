// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {PenaltyEscrow} from "../src/PenaltyEscrow.sol";
import {FrameCodec} from "../src/FrameCodec.sol";
import {FrameProof, RunProof, Terms, Tier} from "../src/Settlement.sol";
import {ICreditVault} from "../src/interfaces/ICreditVault.sol";
import {ILegEvidence} from "../src/interfaces/ILegEvidence.sol";
import {IPenaltyEscrow} from "../src/interfaces/IPenaltyEscrow.sol";
import {LegFixture} from "./LegFixture.sol";

/// @notice What terms and signed totals make due is paid, once, and nothing else.
contract PenaltyEscrowTest is LegFixture {
    // ---- Opening

    function testOpenLocksTheBond() public {
        Terms memory terms = _terms();
        bytes32 id = _open(terms);
        assertEq(_locked(), BOND, "locked");
        _expectState(id, IPenaltyEscrow.State.Open);
    }

    function testOpenNeedsBothSignatures() public {
        Terms memory terms = _terms();
        _deposit(BOND);
        bytes32 id = escrow.agreementId(terms);
        bytes memory byCarrier = _sign("carrier", id);
        bytes memory byShipper = _sign("shipper", id);
        _expectSignature(carrier);
        escrow.open(terms, byShipper, byShipper);
        _expectSignature(shipper);
        escrow.open(terms, byCarrier, byCarrier);
        _expectSignature(shipper);
        escrow.open(terms, byCarrier, "");
        terms.salt += 1;
        _expectSignature(carrier);
        escrow.open(terms, byCarrier, byShipper);
    }

    function testOpensOnce() public {
        Terms memory terms = _terms();
        bytes32 id = _open(terms);
        _deposit(BOND);
        bytes memory byCarrier = _sign("carrier", id);
        bytes memory byShipper = _sign("shipper", id);
        _expectAgreementState(id, IPenaltyEscrow.State.Open);
        escrow.open(terms, byCarrier, byShipper);
        escrow.settle(terms, 0, _closing(0));
        _deposit(BOND);
        vm.warp(START_S);
        _expectAgreementState(id, IPenaltyEscrow.State.Settled);
        escrow.open(terms, byCarrier, byShipper);
    }

    function testOpenNeedsTheDeposit() public {
        Terms memory terms = _terms();
        _deposit(BOND - 1);
        bytes32 id = escrow.agreementId(terms);
        (bytes memory byCarrier, bytes memory byShipper) = (_sign("carrier", id), _sign("shipper", id));
        vm.expectRevert(
            abi.encodeWithSelector(
                ICreditVault.DepositTooSmall.selector,
                address(escrow),
                address(token),
                carrier,
                BOND,
                BOND - 1
            )
        );
        escrow.open(terms, byCarrier, byShipper);
        _expectState(id, IPenaltyEscrow.State.None);
    }

    function testPartiesInvalid() public {
        Terms memory terms = _terms();
        terms.shipper = carrier;
        _refuseTerms(terms, abi.encodeWithSelector(IPenaltyEscrow.PartiesInvalid.selector, carrier, carrier));
        terms.shipper = address(0);
        _refuseTerms(
            terms, abi.encodeWithSelector(IPenaltyEscrow.PartiesInvalid.selector, carrier, address(0))
        );
        (terms.carrier, terms.shipper) = (address(0), shipper);
        _refuseTerms(
            terms, abi.encodeWithSelector(IPenaltyEscrow.PartiesInvalid.selector, address(0), shipper)
        );
    }

    /// @notice Nobody insures the past: the deadline is ahead, and the times are in order.
    function testTermsTimes() public {
        Terms memory terms = _terms();
        terms.legs[0].deadlineS = START_S;
        _refuseTimes(terms);
        terms = _terms();
        terms.legs[0].beginMs = terms.legs[0].deadlineS * 1000;
        _refuseTimes(terms);
        terms = _terms();
        terms.legs[0].dueMs = terms.legs[0].beginMs - 1;
        _refuseTimes(terms);
        terms = _terms();
        terms.legs[0].dueMs = terms.legs[0].deadlineS * 1000 + 1;
        _refuseTimes(terms);
        terms = _terms();
        terms.legs[0].deadlineS = 253_402_300_800;
        _refuseTimes(terms);
        terms = _terms();
        vm.warp(terms.legs[0].deadlineS);
        _refuseTimes(terms);
    }

    function testWindowAndBond() public {
        Terms memory terms = _terms();
        uint32 min = 2 * WINDOW_S;
        terms.windowS = min - 1;
        _refuseTerms(terms, abi.encodeWithSelector(IPenaltyEscrow.WindowTooShort.selector, min - 1, min));
        terms = _terms();
        terms.legs[0].limitsHash = 0;
        _refuseTerms(terms, abi.encodeWithSelector(ILegEvidence.LegUnnamed.selector, LEG, bytes32(0)));
        terms = _terms();
        terms.bond = 0;
        _refuseTerms(terms, abi.encodeWithSelector(IPenaltyEscrow.BondOutOfBounds.selector, 0));
        terms.bond = 1 << 96;
        _refuseTerms(terms, abi.encodeWithSelector(IPenaltyEscrow.BondOutOfBounds.selector, 1 << 96));
    }

    /// @notice A bond that the vault's outflow limit could never pay out is not locked.
    function testBondAboveTheOutflowLimit() public {
        Terms memory terms = _terms();
        terms.bond = 1_000_001e6;
        _deposit(terms.bond);
        bytes32 id = escrow.agreementId(terms);
        (bytes memory byCarrier, bytes memory byShipper) = (_sign("carrier", id), _sign("shipper", id));
        vm.expectRevert(
            abi.encodeWithSelector(ICreditVault.LockAboveOutflow.selector, 1_000_001e6, 1_000_000e6)
        );
        escrow.open(terms, byCarrier, byShipper);
    }

    function testTierCountAndOrder() public {
        _refuseTiers(new Tier[](0), ILegEvidence.TierCountOutOfBounds.selector, 0);
        _refuseTiers(new Tier[](33), ILegEvidence.TierCountOutOfBounds.selector, 33);
        bytes4 order = ILegEvidence.TierOutOfOrder.selector;
        _refuseTiers(_tiers(_tier(1, 1, 5, 1), _tier(1, 1, 5, 1)), order, 1);
        _refuseTiers(_tiers(_tier(1, 1, 5, 1), _tier(1, 1, 4, 1)), order, 1);
        _refuseTiers(_tiers(_tier(1, 2, 5, 1), _tier(1, 1, 6, 1)), order, 1);
        _refuseTiers(_tiers(_tier(2, 1, 5, 1), _tier(1, 1, 6, 1)), order, 1);
        _refuseTiers(_tiers(_tier(0, 0, 0, 1)), order, 0);
    }

    function testTierInvalid() public {
        bytes4 invalid = ILegEvidence.TierInvalid.selector;
        _refuseTiers(_tiers(_tier(1, 0, 5, 1)), invalid, 0);
        _refuseTiers(_tiers(_tier(1, 13, 5, 1)), invalid, 0);
        _refuseTiers(_tiers(_tier(1, 1, 5, 0)), invalid, 0);
        _refuseTiers(_tiers(_tier(1, 8, 5, 1)), invalid, 0);
        _refuseTiers(_tiers(_tier(1, 9, 5, 1)), invalid, 0);
        Terms memory terms = _terms(_tiers(_tier(0, 8, 5, 1)));
        terms.legs[0].dueMs = 0;
        _refuseTerms(terms, abi.encodeWithSelector(invalid, 0));
    }

    /// @notice The id is the EIP-712 digest, worked out here from the standard's text.
    function testAgreementIdIsTheEip712Digest() public view {
        Terms memory terms = _terms(_tiers(_tier(0, 8, 1, 2), _tier(3, 5, 6, 7)));
        terms.legs = _legs("one", "two");
        (terms.uncertaintyMaxMilli, terms.legCap) = (500, BOND / 2);
        string memory legType =
            "Leg(bytes32 gatewayId,bytes32 legId,bytes32 limitsHash,uint64 beginMs,uint64 dueMs,uint64 deadlineS)";
        string memory tierType = "Tier(uint16 channel,uint8 metric,uint128 threshold,uint128 amount)";
        bytes32[2] memory legs;
        bytes32[2] memory tiers;
        for (uint256 i = 0; i < 2; ++i) {
            legs[i] = keccak256(bytes.concat(keccak256(bytes(legType)), abi.encode(terms.legs[i])));
            tiers[i] = keccak256(bytes.concat(keccak256(bytes(tierType)), abi.encode(terms.tiers[i])));
        }
        bytes32 typeHash = keccak256(
            bytes.concat(
                "Terms(address carrier,address shipper,address token,bytes32 tenant,uint32 windowS,",
                "uint32 uncertaintyMaxMilli,uint128 bond,uint128 legCap,uint128 salt,Leg[] legs,Tier[] tiers)",
                bytes(legType),
                bytes(tierType)
            )
        );
        bytes memory encoded = abi.encode(terms);
        bytes memory head = new bytes(9 * 32);
        for (uint256 i = 0; i < head.length; ++i) {
            head[i] = encoded[32 + i];
        }
        bytes memory lists = abi.encode(keccak256(abi.encodePacked(legs)), keccak256(abi.encodePacked(tiers)));
        bytes32 domain = keccak256(
            abi.encode(
                keccak256(
                    "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
                ),
                keccak256("Lading PenaltyEscrow"),
                keccak256("2"),
                block.chainid,
                address(escrow)
            )
        );
        bytes32 structHash = keccak256(bytes.concat(typeHash, head, lists));
        assertEq(escrow.agreementId(terms), keccak256(bytes.concat(hex"1901", domain, structHash)), "digest");
    }

    // ---- Taking signed terms back

    /// @notice Whoever signed first is not bound to what the other never opened: either takes the terms back.
    function testCancelledTermsAreNotOpened() public {
        Terms memory terms = _terms();
        _deposit(BOND);
        _cancelAndRefuse(terms, carrier, IPenaltyEscrow.State.CancelledByCarrier);
        terms.salt = 2;
        _cancelAndRefuse(terms, shipper, IPenaltyEscrow.State.CancelledByShipper);
        assertEq(_free(), BOND, "the deposit is untouched");
    }

    function testOnlyAPartyCancels() public {
        Terms memory terms = _terms();
        vm.expectRevert(
            abi.encodeWithSelector(IPenaltyEscrow.CallerNotParty.selector, address(this), carrier, shipper)
        );
        escrow.cancel(terms);
        _open(terms);
    }

    /// @notice What is open is not taken back, and what was taken back stays so, whoever asks.
    function testCancelsOnlyWhatWasNeverOpened() public {
        Terms memory terms = _terms();
        bytes32 id = _open(terms);
        _expectAgreementState(id, IPenaltyEscrow.State.Open);
        vm.prank(carrier);
        escrow.cancel(terms);
        escrow.settle(terms, 0, _closing(2 * HOUR_MS));
        assertEq(_credit(shipper), 300e6, "paid all the same");
        _expectAgreementState(id, IPenaltyEscrow.State.Settled);
        vm.prank(carrier);
        escrow.cancel(terms);
        terms.salt = 2;
        vm.prank(shipper);
        escrow.cancel(terms);
        _expectAgreementState(escrow.agreementId(terms), IPenaltyEscrow.State.CancelledByShipper);
        vm.prank(carrier);
        escrow.cancel(terms);
    }

    // ---- Settling from the closing frame

    function testCleanLegReleasesTheBond() public {
        Terms memory terms = _terms();
        bytes32 id = _open(terms);
        FrameProof memory proof = _closing(HOUR_MS);
        _expectConcluded(id, 0, BOND, 0);
        escrow.settle(terms, 0, proof);
        assertEq(_free(), BOND, "released");
        assertEq(_credit(shipper), 0, "no penalty");
        _expectState(id, IPenaltyEscrow.State.Settled);
    }

    function testPenaltyIsPaidOnce() public {
        Terms memory terms = _terms();
        bytes32 id = _open(terms);
        FrameProof memory proof = _closing(2 * HOUR_MS);
        _expectConcluded(id, 300e6, BOND - 300e6, 1);
        escrow.settle(terms, 0, proof);
        assertEq(_credit(shipper), 300e6, "penalty");
        assertEq(_free(), BOND - 300e6, "rest");
        _expectAgreementState(id, IPenaltyEscrow.State.Settled);
        escrow.settle(terms, 0, proof);
        _warpTo(terms.legs[0].deadlineS);
        _expectAgreementState(id, IPenaltyEscrow.State.Settled);
        escrow.show(terms, 0, proof);
        vm.warp(terms.legs[0].deadlineS + SHOW_S);
        _expectAgreementState(id, IPenaltyEscrow.State.Settled);
        escrow.finish(terms, 0);
    }

    function testEveryTierReachedAddsItsAmount() public {
        _open(_terms());
        escrow.settle(_terms(), 0, _closing(3 * HOUR_MS + 1));
        assertEq(_credit(shipper), 700e6, "both tiers");
    }

    function testTheBondBoundsThePenalty() public {
        Terms memory terms =
            _terms(_tiers(_tier(1, 1, 0, type(uint128).max), _tier(1, 1, 1, type(uint128).max)));
        _open(terms);
        escrow.settle(terms, 0, _closing(HOUR_MS));
        assertEq(_credit(shipper), BOND, "all of it");
        assertEq(_free() + _locked(), 0, "nothing left");
    }

    /// @notice A figure equal to the threshold has not reached the tier.
    function testFuzz_ReachedIsGreater(uint64 aboveMs, uint64 threshold) public {
        aboveMs = uint64(bound(aboveMs, 0, 48 * HOUR_MS));
        threshold = uint64(bound(threshold, aboveMs < 1 ? 0 : aboveMs - 1, aboveMs + 1));
        Terms memory terms = _terms(_tiers(_tier(1, 1, threshold, 5)));
        _open(terms);
        escrow.settle(terms, 0, _closing(aboveMs));
        assertEq(_credit(shipper), aboveMs > threshold ? 5 : 0, "penalty");
    }

    /// @notice Penalty and rest always add up to the bond.
    function testFuzz_NothingIsLostOrMade(uint128[3] memory amounts, uint64 aboveMs, uint96 bond) public {
        aboveMs = uint64(bound(aboveMs, 0, 48 * HOUR_MS));
        Terms memory terms = _terms(
            _tiers(
                _tier(1, 1, 12 * HOUR_MS, uint128(bound(amounts[0], 1, 1e12))),
                _tier(1, 1, 24 * HOUR_MS, uint128(bound(amounts[1], 1, 1e12))),
                _tier(1, 2, 36 * HOUR_MS, uint128(bound(amounts[2], 1, 1e12)))
            )
        );
        terms.bond = terms.legCap = uint128(bound(bond, 1, 1_000_000e6));
        _open(terms);
        escrow.settle(terms, 0, _closing(aboveMs));
        assertEq(_credit(shipper) + _free(), terms.bond, "conserved");
        assertEq(_locked(), 0, "nothing stays locked");
        uint256 due = (aboveMs > 12 * HOUR_MS ? terms.tiers[0].amount : 0)
            + (aboveMs > 24 * HOUR_MS ? terms.tiers[1].amount : 0)
            + (aboveMs > 36 * HOUR_MS ? terms.tiers[2].amount : 0);
        assertEq(_credit(shipper), due < terms.bond ? due : terms.bond, "due");
    }

    function testLateness() public {
        Terms memory terms = _terms(_tiers(_tier(0, 8, HOUR_MS, 10), _tier(1, 1, HOUR_MS, 20)));
        _open(terms);
        FrameCodec.RunRecord[] memory runs = _runs(_run(1, 0));
        FrameCodec.Header memory header = _header(2, 99, runs);
        header.sentMs = terms.legs[0].dueMs + HOUR_MS + 1;
        escrow.settle(terms, 0, _final(header, runs));
        assertEq(_credit(shipper), 10, "late by more than an hour");
    }

    /// @notice With a closing frame there is no silence, however late it is.
    function testClosingFrameAfterTheDeadlineStillSettles() public {
        Terms memory terms = _terms(_tiers(_tier(0, 9, 0, 10), _tier(1, 1, HOUR_MS, 20)));
        _open(terms);
        FrameProof memory proof = _closing(2 * HOUR_MS);
        vm.warp(terms.legs[0].deadlineS + SHOW_S - 1);
        escrow.settle(terms, 0, proof);
        assertEq(_credit(shipper), 20, "no silence");
    }

    function testNothingIsShownAfterTheWindow() public {
        Terms memory terms = _terms();
        _open(terms);
        FrameProof memory proof = _closing(2 * HOUR_MS);
        uint256 endS = terms.legs[0].deadlineS + SHOW_S;
        vm.warp(endS);
        vm.expectRevert(abi.encodeWithSelector(IPenaltyEscrow.TooLate.selector, endS, endS));
        escrow.settle(terms, 0, proof);
        vm.expectRevert(abi.encodeWithSelector(IPenaltyEscrow.TooLate.selector, endS, endS));
        escrow.show(terms, 0, proof);
    }

    function testSettlingNeedsTheClosingFrame() public {
        Terms memory terms = _terms();
        _open(terms);
        FrameProof memory proof = _final(1, 98, _runs(_run(1, 2 * HOUR_MS)));
        vm.expectRevert(abi.encodeWithSelector(IPenaltyEscrow.FrameNotClosing.selector, 98));
        escrow.settle(terms, 0, proof);
    }

    function testUnknownAgreement() public {
        Terms memory terms = _terms();
        FrameProof memory proof = _closing(0);
        _expectAgreementState(escrow.agreementId(terms), IPenaltyEscrow.State.None);
        escrow.settle(terms, 0, proof);
    }

    // ---- Without a closing frame

    function testShowAndFinish() public {
        Terms memory terms = _terms(_tiers(_tier(0, 9, 12 * HOUR_MS, 10), _tier(1, 1, HOUR_MS, 20)));
        bytes32 id = _open(terms);
        FrameProof memory early = _final(1, 50, _runs(_run(1, 0)));
        FrameProof memory late = _final(1, 98, _runs(_run(1, 2 * HOUR_MS)));
        _warpTo(terms.legs[0].deadlineS);
        escrow.show(terms, 0, early);
        escrow.show(terms, 0, late);
        vm.expectRevert(abi.encodeWithSelector(IPenaltyEscrow.FrameNotNewer.selector, 50, 98));
        escrow.show(terms, 0, early);
        vm.expectRevert(abi.encodeWithSelector(IPenaltyEscrow.FrameNotNewer.selector, 98, 98));
        escrow.show(terms, 0, late);
        assertEq(escrow.shownOf(id, 0).penalty, 20, "kept");
        assertEq(_credit(shipper), 0, "not paid yet");
        vm.warp(terms.legs[0].deadlineS + SHOW_S);
        _expectConcluded(id, 30, BOND - 30, 3);
        escrow.finish(terms, 0);
        assertEq(_credit(shipper), 30, "24 h of silence and 2 h above");
    }

    /// @notice A later frame may also be better news: what it says counts, not the worst ever shown.
    function testALaterFrameTakesThePlace() public {
        Terms memory terms = _terms(_tiers(_tier(1, 6, 700_000, 20)));
        _open(terms);
        FrameCodec.RunRecord memory run = _run(1, 0);
        run.totals.longestGapMs = 800_000;
        FrameProof memory worse = _final(1, 50, _runs(run));
        FrameProof memory later = _final(1, 51, _runs(_run(1, 0)));
        _warpTo(terms.legs[0].deadlineS);
        escrow.show(terms, 0, worse);
        escrow.show(terms, 0, later);
        vm.warp(terms.legs[0].deadlineS + SHOW_S);
        escrow.finish(terms, 0);
        assertEq(_free(), BOND, "released");
    }

    function testClosingFrameEndsTheShowing() public {
        Terms memory terms = _terms();
        _open(terms);
        FrameProof memory shown = _final(1, 50, _runs(_run(1, 2 * HOUR_MS)));
        FrameProof memory closing = _final(2, 99, _runs(_run(1, 0)));
        _warpTo(terms.legs[0].deadlineS);
        escrow.show(terms, 0, shown);
        vm.expectRevert(abi.encodeWithSelector(IPenaltyEscrow.FrameCloses.selector, 99));
        escrow.show(terms, 0, closing);
        escrow.settle(terms, 0, closing);
        assertEq(_free(), BOND, "by the closing frame");
    }

    function testNothingShownAtAll() public {
        Terms memory terms =
            _terms(_tiers(_tier(0, 8, 0, 5), _tier(0, 9, 71 * HOUR_MS, 10), _tier(1, 1, 0, 20)));
        _open(terms);
        vm.warp(terms.legs[0].deadlineS + SHOW_S);
        escrow.finish(terms, 0);
        assertEq(_credit(shipper), 15, "late, and silent for 72 h");
    }

    /// @notice A frame that the gateway signed before the leg's planned begin, shown, costs no more than none at all.
    function testAnEarlyFrameIsNoLongerSilence() public {
        Terms memory terms = _terms(_tiers(_tier(0, 9, 72 * HOUR_MS, 10)));
        _open(terms);
        FrameCodec.RunRecord[] memory runs = _runs(_run(1, 0));
        FrameCodec.Header memory header = _header(1, 50, runs);
        header.sentMs = BEGIN_MS - 1000;
        FrameProof memory early = _final(header, runs);
        early.runs = new RunProof[](0);
        _warpTo(terms.legs[0].deadlineS);
        escrow.show(terms, 0, early);
        vm.warp(terms.legs[0].deadlineS + SHOW_S);
        escrow.finish(terms, 0);
        assertEq(_credit(shipper), 0, "72 h from the begin, not a second more");
    }

    /// @notice Terms without a silence tier release the bond of a leg that nobody showed anything of.
    function testSilenceWithoutATier() public {
        Terms memory terms = _terms();
        _open(terms);
        vm.warp(terms.legs[0].deadlineS + SHOW_S);
        escrow.finish(terms, 0);
        assertEq(_free(), BOND, "released");
    }

    function testTooEarly() public {
        Terms memory terms = _terms();
        _open(terms);
        FrameProof memory proof = _final(1, 50, _runs(_run(1, 0)));
        vm.warp(terms.legs[0].deadlineS - 1);
        vm.expectRevert(
            abi.encodeWithSelector(
                IPenaltyEscrow.TooEarly.selector, terms.legs[0].deadlineS - 1, terms.legs[0].deadlineS
            )
        );
        escrow.show(terms, 0, proof);
        uint256 endS = terms.legs[0].deadlineS + SHOW_S;
        vm.warp(endS - 1);
        vm.expectRevert(abi.encodeWithSelector(IPenaltyEscrow.TooEarly.selector, endS - 1, endS));
        escrow.finish(terms, 0);
    }

    /// @notice The vault's outflow limit delays a payment, and never changes what is due.
    function testOutflowLimitDelays() public {
        Terms memory terms = _terms();
        terms.bond = terms.legCap = 1_000_000e6;
        terms.tiers[0].amount = terms.bond;
        bytes32 first = _open(terms);
        terms.salt = 2;
        _open(terms);
        FrameProof memory proof = _closing(2 * HOUR_MS);
        escrow.settle(terms, 0, proof);
        terms.salt = 1;
        vm.expectEmit(address(escrow));
        emit IPenaltyEscrow.Owed(first, LEG, 1_000_000e6);
        escrow.settle(terms, 0, proof);
        assertEq(_credit(shipper), 1_000_000e6, "the second's alone");
        assertEq(escrow.agreementOf(first).owed, 1_000_000e6, "owed");
        _expectAgreementState(first, IPenaltyEscrow.State.Settled);
        escrow.settle(terms, 0, proof);
        vm.expectRevert(abi.encodeWithSelector(IPenaltyEscrow.OutflowUsedUp.selector, first, 1_000_000e6));
        escrow.pay(terms);
        vm.warp(block.timestamp + 1 days);
        escrow.pay(terms);
        assertEq(_credit(shipper), 2_000_000e6, "both");
        assertEq(_locked(), 0, "nothing locked");
        vm.expectRevert(abi.encodeWithSelector(IPenaltyEscrow.NothingOwed.selector, first));
        escrow.pay(terms);
    }

    /// @notice What is owed is paid in parts, as far as the limit goes: nobody waits for it to recover in full.
    function testOwedIsPaidInParts() public {
        Terms memory terms = _terms(_tiers(_tier(1, 1, HOUR_MS, 600_000e6)));
        terms.bond = terms.legCap = 600_000e6;
        bytes32 id = _open(terms);
        terms.salt = 2;
        _open(terms);
        FrameProof memory proof = _closing(2 * HOUR_MS);
        escrow.settle(terms, 0, proof);
        terms.salt = 1;
        escrow.settle(terms, 0, proof);
        vm.expectEmit(address(escrow));
        emit IPenaltyEscrow.Paid(id, 400_000e6, 200_000e6);
        escrow.pay(terms);
        vm.warp(block.timestamp + 5 hours);
        vm.expectEmit(address(escrow));
        emit IPenaltyEscrow.Paid(id, 200_000e6, 0);
        escrow.pay(terms);
        assertEq(_credit(shipper), 1_200_000e6, "both");
    }

    /// @notice A release is not held up: it leaves no sub-account.
    function testReleaseNeedsNoOutflow() public {
        Terms memory terms = _terms(_tiers(_tier(1, 1, 3 * HOUR_MS, 1)));
        terms.bond = terms.legCap = 1_000_000e6;
        _open(terms);
        terms.tiers[0] = _tier(1, 1, HOUR_MS, terms.bond);
        _open(terms);
        FrameProof memory proof = _closing(2 * HOUR_MS);
        escrow.settle(terms, 0, proof);
        terms.tiers[0] = _tier(1, 1, 3 * HOUR_MS, 1);
        escrow.settle(terms, 0, proof);
        assertEq(_free(), terms.bond, "released");
    }

    // ---- Help

    function _cancelAndRefuse(Terms memory terms, address party, IPenaltyEscrow.State state) private {
        bytes32 id = escrow.agreementId(terms);
        (bytes memory byCarrier, bytes memory byShipper) = (_sign("carrier", id), _sign("shipper", id));
        vm.expectEmit(address(escrow));
        emit IPenaltyEscrow.Cancelled(id, party);
        vm.prank(party);
        escrow.cancel(terms);
        _expectState(id, state);
        _expectAgreementState(id, state);
        escrow.open(terms, byCarrier, byShipper);
    }

    function _refuseTimes(Terms memory terms) private {
        _refuseTerms(
            terms,
            abi.encodeWithSelector(
                ILegEvidence.LegTimes.selector,
                terms.legs[0].beginMs,
                terms.legs[0].dueMs,
                terms.legs[0].deadlineS,
                block.timestamp
            )
        );
    }

    function _refuseTiers(Tier[] memory tiers, bytes4 selector, uint256 argument) private {
        _refuseTerms(_terms(tiers), abi.encodeWithSelector(selector, argument));
    }

    function _refuseTerms(Terms memory terms, bytes memory reason) private {
        bytes32 id = escrow.agreementId(terms);
        (bytes memory byCarrier, bytes memory byShipper) = (_sign("carrier", id), _sign("shipper", id));
        vm.expectRevert(reason);
        escrow.open(terms, byCarrier, byShipper);
    }

    function _expectSignature(address party) private {
        vm.expectRevert(abi.encodeWithSelector(IPenaltyEscrow.SignatureOfParty.selector, party));
    }

    function _expectAgreementState(bytes32 id, IPenaltyEscrow.State state) private {
        vm.expectRevert(abi.encodeWithSelector(IPenaltyEscrow.AgreementState.selector, id, state));
    }

    function _expectState(bytes32 id, IPenaltyEscrow.State state) private view {
        assertEq(uint256(escrow.agreementOf(id).state), uint256(state), "state");
    }

    function _expectConcluded(bytes32 id, uint256 penalty, uint256 rest, uint256 reached) private {
        vm.expectEmit(address(escrow));
        emit IPenaltyEscrow.Concluded(id, LEG, penalty, rest, reached);
    }
}

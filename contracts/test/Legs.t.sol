// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {FrameCodec} from "../src/FrameCodec.sol";
import {FrameProof, Leg, RunProof, Terms, Tier} from "../src/Settlement.sol";
import {ILegEvidence} from "../src/interfaces/ILegEvidence.sol";
import {IPenaltyEscrow} from "../src/interfaces/IPenaltyEscrow.sol";
import {LegFixture} from "./LegFixture.sol";

/// @dev Uses up what it is given.
contract Burner {
    fallback() external payable {
        assembly ("memory-safe") {
            invalid()
        }
    }
}

/// @dev A party whose every call fails.
contract Refuser {
    error Refused();

    fallback() external payable {
        revert Refused();
    }
}

/// @notice Several legs under one bond: each is judged by its own evidence and paid when it concludes.
contract LegsTest is LegFixture {
    bytes32 private constant ONE = bytes32(uint256(1));
    bytes32 private constant TWO = bytes32(uint256(2));
    bytes32 private constant THREE = bytes32(uint256(3));

    // ---- Paying leg by leg

    function testEachLegPaysWhenItConcludes() public {
        Terms memory terms = _twoLegs();
        bytes32 id = _open(terms);
        FrameProof memory two = _closingOf(TWO, 2 * HOUR_MS);
        _expectConcluded(id, TWO, 300e6, 0, 1);
        escrow.settle(terms, 1, two);
        assertEq(_credit(shipper), 300e6, "the second's at once");
        assertEq(_locked(), BOND - 300e6, "the rest waits for the other leg");
        IPenaltyEscrow.Agreement memory agreement = escrow.agreementOf(id);
        assertEq(uint256(agreement.state), uint256(IPenaltyEscrow.State.Open), "open");
        assertEq(agreement.concluded, 2, "leg 1");
        FrameProof memory one = _closingOf(ONE, 0);
        _expectConcluded(id, ONE, 0, BOND - 300e6, 0);
        escrow.settle(terms, 0, one);
        assertEq(_free(), BOND - 300e6, "rest");
        assertEq(_locked(), 0, "nothing locked");
        agreement = escrow.agreementOf(id);
        assertEq(uint256(agreement.state), uint256(IPenaltyEscrow.State.Settled), "settled");
        assertEq(agreement.penalty, 300e6, "of all legs");
    }

    function testALegConcludesOnce() public {
        Terms memory terms = _twoLegs();
        bytes32 id = _open(terms);
        FrameProof memory proof = _closingOf(ONE, 2 * HOUR_MS);
        escrow.settle(terms, 0, proof);
        bytes memory reason = abi.encodeWithSelector(IPenaltyEscrow.LegConcluded.selector, id, 0);
        vm.expectRevert(reason);
        escrow.settle(terms, 0, proof);
        vm.warp(terms.legs[0].deadlineS);
        vm.expectRevert(reason);
        escrow.show(terms, 0, proof);
        vm.warp(terms.legs[0].deadlineS + SHOW_S);
        vm.expectRevert(reason);
        escrow.finish(terms, 0);
    }

    /// @notice One leg's frame is no evidence of another, under whichever index it is shown.
    function testFrameOfTheOtherLeg() public {
        Terms memory terms = _twoLegs();
        _open(terms);
        FrameProof memory proof = _closingOf(ONE, 2 * HOUR_MS);
        vm.expectRevert(abi.encodeWithSelector(ILegEvidence.FrameLeg.selector, ONE, TWO));
        escrow.settle(terms, 1, proof);
        vm.expectRevert(abi.encodeWithSelector(IPenaltyEscrow.LegUnknown.selector, 2, 2));
        escrow.settle(terms, 2, proof);
        vm.expectRevert(abi.encodeWithSelector(IPenaltyEscrow.LegUnknown.selector, type(uint256).max, 2));
        escrow.finish(terms, type(uint256).max);
    }

    function testTheLegCapBoundsALeg() public {
        Terms memory terms = _twoLegs();
        terms.legCap = 250e6;
        bytes32 id = _open(terms);
        FrameProof memory one = _closingOf(ONE, 4 * HOUR_MS);
        _expectConcluded(id, ONE, 250e6, 0, 3);
        escrow.settle(terms, 0, one);
        escrow.settle(terms, 1, _closingOf(TWO, 2 * HOUR_MS));
        assertEq(_credit(shipper), 500e6, "twice the cap");
        assertEq(_free(), BOND - 500e6, "rest");
    }

    /// @notice Legs that conclude after the bond is used up cost nothing, and conclude all the same.
    function testBondExhaustedByEarlierLegs() public {
        Terms memory terms = _threeLegs();
        bytes32 id = _open(terms);
        escrow.settle(terms, 0, _closingOf(ONE, 4 * HOUR_MS));
        FrameProof memory second = _closingOf(TWO, 4 * HOUR_MS);
        _expectConcluded(id, TWO, 300e6, 0, 3);
        escrow.settle(terms, 1, second);
        FrameProof memory third = _closingOf(THREE, 4 * HOUR_MS);
        _expectConcluded(id, THREE, 0, 0, 3);
        escrow.settle(terms, 2, third);
        assertEq(_credit(shipper), BOND, "all of it");
        assertEq(_free() + _locked(), 0, "nothing left");
        assertEq(uint256(escrow.agreementOf(id).state), uint256(IPenaltyEscrow.State.Settled), "settled");
    }

    /// @notice In whatever order legs conclude, the penalties are min(bond, Σ min(cap, leg)), and nothing is lost.
    function testFuzz_AnyOrder(uint256 order, uint64[3] memory aboveMs, uint96 bond, uint96 legCap) public {
        Terms memory terms = _threeLegs();
        terms.bond = uint128(bound(bond, 1, BOND));
        terms.legCap = uint128(bound(legCap, 1, terms.bond));
        _open(terms);
        uint256 wanted = 0;
        FrameProof[] memory proofs = new FrameProof[](3);
        for (uint256 i = 0; i < 3; ++i) {
            aboveMs[i] = uint64(bound(aboveMs[i], 0, 5 * HOUR_MS));
            uint256 due = (aboveMs[i] > HOUR_MS ? 300e6 : 0) + (aboveMs[i] > 3 * HOUR_MS ? 400e6 : 0);
            wanted += due < terms.legCap ? due : terms.legCap;
            proofs[i] = _closingOf(terms.legs[i].legId, aboveMs[i]);
        }
        for (uint256 i = 0; i < 3; ++i) {
            uint256 index = (order % 3 + i * (1 + order % 2)) % 3;
            escrow.settle(terms, index, proofs[index]);
        }
        assertEq(_credit(shipper), wanted < terms.bond ? wanted : terms.bond, "due");
        assertEq(_credit(shipper) + _free(), terms.bond, "conserved");
        assertEq(_locked(), 0, "nothing locked");
    }

    function testLegsHaveTheirOwnTimes() public {
        Terms memory terms = _twoLegs();
        terms.tiers = _tiers(_tier(0, 8, 0, 10e6), _tier(0, 9, 0, 20e6), _tier(1, 1, HOUR_MS, 40e6));
        terms.legs[1].dueMs = BEGIN_MS + 200 * HOUR_MS;
        terms.legs[1].deadlineS = START_S + 240 hours + SHOW_S;
        bytes32 id = _open(terms);
        vm.warp(terms.legs[0].deadlineS + SHOW_S);
        _expectConcluded(id, ONE, 30e6, 0, 3);
        escrow.finish(terms, 0);
        vm.expectRevert(
            abi.encodeWithSelector(
                IPenaltyEscrow.TooEarly.selector, block.timestamp, block.timestamp + 168 hours + SHOW_S
            )
        );
        escrow.finish(terms, 1);
        FrameProof memory proof = _closingOf(TWO, 2 * HOUR_MS);
        _expectConcluded(id, TWO, 40e6, BOND - 70e6, 4);
        escrow.settle(terms, 1, proof);
    }

    /// @notice What was shown of one leg says nothing of another.
    function testShownIsOfALeg() public {
        Terms memory terms = _twoLegs();
        bytes32 id = _open(terms);
        FrameProof memory one = _openFrameOf(ONE, 50, 2 * HOUR_MS);
        FrameProof memory two = _openFrameOf(TWO, 3, 4 * HOUR_MS);
        _warpTo(terms.legs[0].deadlineS);
        escrow.show(terms, 0, one);
        vm.expectEmit(address(escrow));
        emit IPenaltyEscrow.FrameShown(id, TWO, 3, BEGIN_MS + 48 * HOUR_MS + 1000, 700e6, 3);
        escrow.show(terms, 1, two);
        assertEq(escrow.shownOf(id, 0).frameSeq, 50, "the first's");
        assertEq(escrow.shownOf(id, 1).reached, 3, "the second's");
        vm.warp(terms.legs[0].deadlineS + SHOW_S);
        escrow.finish(terms, 1);
        escrow.finish(terms, 0);
        assertEq(_credit(shipper), 1000e6, "both");
    }

    /// @notice A frame numbered 0 that makes nothing due is a frame shown, too.
    function testShowingTheFirstFrame() public {
        Terms memory terms = _terms(_tiers(_tier(0, 9, 24 * HOUR_MS, 10)));
        bytes32 id = _open(terms);
        FrameCodec.RunRecord[] memory runs = _runs(_run(1, 0));
        FrameCodec.Header memory header = _header(1, 0, runs);
        FrameProof memory proof = _final(header, runs);
        proof.runs = new RunProof[](0);
        _warpTo(terms.legs[0].deadlineS);
        escrow.show(terms, 0, proof);
        assertTrue(escrow.shownOf(id, 0).isShown, "shown");
        vm.expectRevert(abi.encodeWithSelector(IPenaltyEscrow.FrameNotNewer.selector, 0, 0));
        escrow.show(terms, 0, proof);
        vm.warp(terms.legs[0].deadlineS + SHOW_S);
        escrow.finish(terms, 0);
        assertEq(_free(), BOND, "heard of less than 24 h before the deadline");
    }

    // ---- The vault's outflow limit

    /// @notice A leg whose penalty does not fit the limit now holds up neither the other legs nor the carrier's rest.
    function testOwedBlocksNoOtherLeg() public {
        Terms memory terms = _threeLegs();
        terms.bond = terms.legCap = 1_000_000e6;
        terms.tiers = _tiers(_tier(1, 1, HOUR_MS, 200_000e6), _tier(1, 1, 3 * HOUR_MS, 250_000e6));
        bytes32 id = _open(terms);
        _useUp(700_000e6);
        escrow.settle(terms, 0, _closingOf(ONE, 4 * HOUR_MS));
        assertEq(escrow.agreementOf(id).owed, 450_000e6, "450 000 do not fit into 300 000");
        escrow.settle(terms, 1, _closingOf(TWO, 2 * HOUR_MS));
        assertEq(_credit(shipper), 900_000e6, "200 000 do");
        escrow.settle(terms, 2, _closingOf(THREE, 0));
        assertEq(_free(), 350_000e6, "rest");
        assertEq(_locked(), 450_000e6, "locked for what is owed");
        escrow.pay(terms);
        assertEq(escrow.agreementOf(id).owed, 350_000e6, "100 000 paid");
        vm.warp(block.timestamp + 1 days);
        escrow.pay(terms);
        assertEq(_credit(shipper), 1_350_000e6, "700 000 + 650 000");
        assertEq(_locked(), 0, "nothing locked");
    }

    function testOwedAddsUp() public {
        Terms memory terms = _twoLegs();
        bytes32 id = _open(terms);
        _useUp(1_000_000e6);
        FrameProof memory second = _closingOf(TWO, 4 * HOUR_MS);
        escrow.settle(terms, 0, _closingOf(ONE, 2 * HOUR_MS));
        vm.expectEmit(address(escrow));
        emit IPenaltyEscrow.Owed(id, TWO, 700e6);
        escrow.settle(terms, 1, second);
        assertEq(escrow.agreementOf(id).owed, BOND, "both");
        vm.warp(block.timestamp + 1 days);
        vm.expectEmit(address(escrow));
        emit IPenaltyEscrow.Paid(id, BOND, 0);
        escrow.pay(terms);
    }

    /// @notice With too little gas a step fails as a whole: it never turns a payment into a debt or a void channel.
    function testFuzz_TooLittleGas(uint256 gasMax) public {
        Terms memory terms = _twoLegs();
        (terms.uncertaintyMaxMilli, terms.legCap) = (500, 300e6);
        bytes32 id = _open(terms);
        vm.prank(admin);
        gateways.calibrate(gatewayId, 1, "certificate", BEGIN_MS - HOUR_MS, BEGIN_MS + 99 * HOUR_MS, 100);
        FrameProof memory proof = _closingOf(ONE, 2 * HOUR_MS);
        try escrow.settle{gas: bound(gasMax, 30_000, 600_000)}(terms, 0, proof) {
            assertEq(_credit(shipper), 300e6, "paid");
        } catch {
            assertEq(escrow.agreementOf(id).concluded, 0, "as before");
        }
        assertEq(escrow.agreementOf(id).owed, 0, "no debt");
    }

    /// @notice A vault that burns all its gas, with enough left here to write a debt, fails the step.
    function testAVaultThatBurnsGasMakesNoDebt() public {
        Terms memory terms = _twoLegs();
        bytes32 id = _open(terms);
        FrameProof memory proof = _closingOf(ONE, 2 * HOUR_MS);
        vm.etch(address(vault), address(new Burner()).code);
        try escrow.settle{gas: 20_000_000}(terms, 0, proof) {
            assertTrue(false, "concluded without paying");
        } catch (bytes memory reason) {
            assertEq(reason.length, 0, "the vault's failure");
        }
        assertEq(escrow.agreementOf(id).concluded, 0, "as before");
    }

    // ---- Parties that do not work

    /// @notice Parties are not called: one whose every call fails is paid like any other, and stops nobody.
    function testPartiesAreNotCalled() public {
        Terms memory terms = _twoLegs();
        _open(terms);
        Refuser refuser = new Refuser();
        vm.etch(shipper, address(refuser).code);
        vm.etch(carrier, address(refuser).code);
        escrow.settle(terms, 0, _closingOf(ONE, 2 * HOUR_MS));
        escrow.settle(terms, 1, _closingOf(TWO, 0));
        assertEq(_credit(shipper), 300e6, "penalty");
        assertEq(_free(), BOND - 300e6, "rest");
    }

    // ---- Terms

    function testLegCap() public {
        Terms memory terms = _twoLegs();
        terms.legCap = 0;
        _refuse(terms, abi.encodeWithSelector(IPenaltyEscrow.LegCapOutOfBounds.selector, 0, BOND));
        terms.legCap = BOND + 1;
        _refuse(terms, abi.encodeWithSelector(IPenaltyEscrow.LegCapOutOfBounds.selector, BOND + 1, BOND));
    }

    function testLegCountAndOrder() public {
        Terms memory terms = _terms();
        terms.legs = new Leg[](0);
        _refuse(terms, abi.encodeWithSelector(IPenaltyEscrow.LegCountOutOfBounds.selector, 0));
        terms.legs = new Leg[](17);
        _refuse(terms, abi.encodeWithSelector(IPenaltyEscrow.LegCountOutOfBounds.selector, 17));
        terms.legs = _legs(TWO, ONE);
        _refuse(terms, abi.encodeWithSelector(IPenaltyEscrow.LegOutOfOrder.selector, 1));
        terms.legs = _legs(ONE, ONE);
        _refuse(terms, abi.encodeWithSelector(IPenaltyEscrow.LegOutOfOrder.selector, 1));
        terms.legs = _legs(0, ONE);
        _refuse(terms, abi.encodeWithSelector(IPenaltyEscrow.LegOutOfOrder.selector, 0));
    }

    /// @notice Each leg's times are checked, and lateness needs a due time in every leg.
    function testEveryLegIsChecked() public {
        Terms memory terms = _twoLegs();
        terms.legs[1].beginMs = terms.legs[1].deadlineS * 1000;
        _refuse(
            terms,
            abi.encodeWithSelector(
                ILegEvidence.LegTimes.selector,
                terms.legs[1].beginMs,
                terms.legs[1].dueMs,
                terms.legs[1].deadlineS,
                block.timestamp
            )
        );
        terms = _twoLegs();
        terms.legs[1].dueMs = 0;
        terms.tiers = _tiers(_tier(0, 8, 5, 1));
        _refuse(terms, abi.encodeWithSelector(ILegEvidence.TierInvalid.selector, 0));
    }

    /// @notice The greatest terms work: 16 legs, 32 tiers, the last leg ends the agreement.
    function testSixteenLegs() public {
        Tier[] memory tiers = new Tier[](32);
        for (uint256 i = 0; i < 32; ++i) {
            tiers[i] = _tier(1, 1, uint128(i * HOUR_MS), 1);
        }
        Terms memory terms = _terms(tiers);
        terms.legs = new Leg[](16);
        for (uint256 i = 0; i < 16; ++i) {
            terms.legs[i] = _leg(bytes32(i + 1));
        }
        bytes32 id = _open(terms);
        for (uint256 i = 0; i < 15; ++i) {
            escrow.settle(terms, i, _closingOf(bytes32(i + 1), 40 * HOUR_MS));
        }
        assertEq(escrow.agreementOf(id).concluded, 0x7fff, "all but one");
        vm.warp(terms.legs[0].deadlineS + SHOW_S);
        escrow.finish(terms, 15);
        assertEq(escrow.agreementOf(id).concluded, 0xffff, "all");
        assertEq(_credit(shipper), 15 * 32, "penalties");
        assertEq(_free(), BOND - 15 * 32, "rest");
    }

    // ---- Help

    function _twoLegs() private view returns (Terms memory terms) {
        terms = _terms();
        terms.legs = _legs(ONE, TWO);
    }

    function _threeLegs() private view returns (Terms memory terms) {
        terms = _terms();
        terms.legs = new Leg[](3);
        (terms.legs[0], terms.legs[1], terms.legs[2]) = (_leg(ONE), _leg(TWO), _leg(THREE));
    }

    function _closingOf(bytes32 legId, uint64 aboveMs) private returns (FrameProof memory) {
        FrameCodec.RunRecord[] memory runs = _runs(_run(1, aboveMs));
        FrameCodec.Header memory header = _header(2, 99, runs);
        header.legId = legId;
        return _finalNow(header, runs);
    }

    function _openFrameOf(bytes32 legId, uint64 frameSeq, uint64 aboveMs)
        private
        returns (FrameProof memory)
    {
        FrameCodec.RunRecord[] memory runs = _runs(_run(1, aboveMs));
        FrameCodec.Header memory header = _header(1, frameSeq, runs);
        header.legId = legId;
        return _final(header, runs);
    }

    /// @dev Anchored long enough ago, and no time passes here: the vault's limit stays as it is.
    function _finalNow(FrameCodec.Header memory header, FrameCodec.RunRecord[] memory runs)
        private
        returns (FrameProof memory proof)
    {
        uint256 nowS = block.timestamp;
        uint256 sentS = header.sentMs / 1000 + 1;
        if (nowS < sentS + WINDOW_S) nowS = sentS + WINDOW_S;
        vm.warp(nowS - WINDOW_S);
        proof = _anchored(header, runs);
        vm.warp(nowS);
    }

    /// @dev An agreement of others uses up this much of the escrow's outflow limit.
    function _useUp(uint128 amount) private {
        Terms memory other = _terms(_tiers(_tier(1, 1, HOUR_MS, amount)));
        (other.bond, other.legCap, other.salt) = (amount, amount, 77);
        _open(other);
        FrameCodec.RunRecord[] memory runs = _runs(_run(1, 2 * HOUR_MS));
        escrow.settle(other, 0, _finalNow(_header(2, 99, runs), runs));
        assertEq(vault.outflowAvailable(address(escrow), address(token)), 1_000_000e6 - amount, "used up");
    }

    function _refuse(Terms memory terms, bytes memory reason) private {
        bytes32 id = escrow.agreementId(terms);
        (bytes memory byCarrier, bytes memory byShipper) = (_sign("carrier", id), _sign("shipper", id));
        vm.expectRevert(reason);
        escrow.open(terms, byCarrier, byShipper);
    }

    function _expectConcluded(bytes32 id, bytes32 legId, uint256 penalty, uint256 rest, uint256 reached)
        private
    {
        vm.expectEmit(address(escrow));
        emit IPenaltyEscrow.Concluded(id, legId, penalty, rest, reached);
    }
}

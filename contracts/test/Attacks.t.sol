// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {AnchorRegistry} from "../src/AnchorRegistry.sol";
import {FrameCodec} from "../src/FrameCodec.sol";
import {PenaltyEscrow} from "../src/PenaltyEscrow.sol";
import {Rfc9162} from "../src/Rfc9162.sol";
import {FrameProof, RunProof, Terms} from "../src/Settlement.sol";
import {IAnchorRegistry} from "../src/interfaces/IAnchorRegistry.sol";
import {IGatewayRegistry} from "../src/interfaces/IGatewayRegistry.sol";
import {ILegEvidence} from "../src/interfaces/ILegEvidence.sol";
import {IPenaltyEscrow} from "../src/interfaces/IPenaltyEscrow.sol";
import {Encode} from "./Encode.sol";
import {LegFixture} from "./LegFixture.sol";
import {NaiveTree} from "./NaiveTree.sol";

/// @dev Signs with a wallet contract: good, bad, reverting or burning all gas.
contract Wallet {
    uint256 private immutable mode;

    error NoSignature();

    constructor(uint256 mode_) {
        mode = mode_;
    }

    function isValidSignature(bytes32, bytes calldata) external view returns (bytes4) {
        if (mode == 1) return 0xffffffff;
        require(mode != 2, NoSignature());
        while (mode == 3) {}
        return 0x1626ba7e;
    }
}

/// @notice Evidence that is not of this leg, not signed, not anchored, not final or taken apart pays nothing.
contract AttacksTest is LegFixture {
    Terms private terms;
    FrameProof private good;

    function setUp() public override {
        super.setUp();
        Terms memory made = _terms();
        _open(made);
        FrameProof memory proof = _closing(2 * HOUR_MS);
        _keep(terms, made);
        _keep(good, proof);
    }

    function testTheEvidenceIsGood() public {
        escrow.settle(terms, 0, good);
        assertEq(_credit(shipper), 300e6, "penalty");
    }

    // ---- Which leg, which gateway, which limits

    function testFrameOfAnotherLeg() public {
        FrameCodec.Header memory header = _closingHeader();
        header.legId = "another leg";
        FrameProof memory proof = _final(header, _runs(_run(1, 2 * HOUR_MS)));
        _refuse(proof, abi.encodeWithSelector(ILegEvidence.FrameLeg.selector, header.legId, LEG));
    }

    function testIdleFrame() public {
        FrameCodec.Header memory header = _closingHeader();
        (header.legState, header.legId, header.limitsHash) = (0, 0, 0);
        FrameProof memory proof = _final(header, _runs(_run(1, 2 * HOUR_MS)));
        _refuse(proof, abi.encodeWithSelector(ILegEvidence.FrameLeg.selector, 0, LEG));
    }

    function testFrameUnderOtherLimits() public {
        FrameCodec.Header memory header = _closingHeader();
        header.limitsHash = "looser";
        FrameProof memory proof = _final(header, _runs(_run(1, 2 * HOUR_MS)));
        _refuse(proof, abi.encodeWithSelector(ILegEvidence.FrameLimits.selector, header.limitsHash, LIMITS));
    }

    function testFrameOfAnotherGateway() public {
        FrameCodec.Header memory header = _closingHeader();
        header.gatewayId = _register(4321);
        FrameProof memory proof = _signed(header, _runs(_run(1, 2 * HOUR_MS)));
        _signFrame(proof, 4321);
        _place(proof, TENANT);
        _anchor(proof);
        vm.warp(block.timestamp + WINDOW_S);
        _refuse(
            proof, abi.encodeWithSelector(ILegEvidence.FrameGateway.selector, header.gatewayId, gatewayId)
        );
    }

    /// @notice A frame in another tenant's batch does not count, even of this gateway.
    function testBatchOfAnotherTenant() public {
        FrameProof memory proof = good;
        _place(proof, "other tenant");
        _anchor(proof);
        vm.warp(block.timestamp + WINDOW_S);
        _refuse(
            proof, abi.encodeWithSelector(ILegEvidence.FrameTenant.selector, bytes32("other tenant"), TENANT)
        );
    }

    /// @notice Terms that name a foreign tenant's gateway never settle from it.
    function testGatewayOfAnotherTenant() public {
        Terms memory other = terms;
        (other.tenant, other.salt) = ("other tenant", 2);
        _openEarlier(other);
        FrameProof memory proof = good;
        _place(proof, other.tenant);
        _anchor(proof);
        vm.warp(block.timestamp + WINDOW_S);
        vm.expectRevert(abi.encodeWithSelector(ILegEvidence.FrameTenant.selector, TENANT, other.tenant));
        escrow.settle(other, 0, proof);
    }

    // ---- Signature

    function testSignatureOfAnotherKey() public {
        FrameProof memory proof = good;
        _signFrame(proof, 4321);
        _refuse(proof, abi.encodeWithSelector(ILegEvidence.FrameSignature.selector));
    }

    /// @notice The other valid s of the same signature is refused: one frame, one signature form.
    function testHighS() public {
        FrameProof memory proof = good;
        proof.s = bytes32(P256_ORDER - uint256(proof.s));
        _refuse(proof, abi.encodeWithSelector(ILegEvidence.FrameSignature.selector));
    }

    function testFuzz_SignatureOutOfRange(bytes32 r, bytes32 s) public {
        FrameProof memory proof = good;
        vm.assume(r != proof.r || s != proof.s);
        (proof.r, proof.s) = (r, s);
        _refuse(proof, abi.encodeWithSelector(ILegEvidence.FrameSignature.selector));
    }

    function testZeroSignature() public {
        FrameProof memory proof = good;
        (bytes32 r, bytes32 s) = (proof.r, proof.s);
        (proof.r, proof.s) = (0, s);
        _refuse(proof, abi.encodeWithSelector(ILegEvidence.FrameSignature.selector));
        (proof.r, proof.s) = (r, 0);
        _refuse(proof, abi.encodeWithSelector(ILegEvidence.FrameSignature.selector));
        (proof.r, proof.s) = (bytes32(P256_ORDER), s);
        _refuse(proof, abi.encodeWithSelector(ILegEvidence.FrameSignature.selector));
    }

    /// @notice A key that is revoked, or not valid yet, at the frame's time.
    function testKeyNotValidThen() public {
        FrameCodec.Header memory header = _closingHeader();
        uint64 untilMs = header.sentMs;
        vm.prank(admin);
        gateways.revoke(gatewayId, untilMs);
        uint64 fromMs = BEGIN_MS - HOUR_MS;
        _refuse(good, _notValid(untilMs, fromMs, untilMs));
        header.sentMs = fromMs - 1;
        FrameProof memory proof = _final(header, _runs(_run(1, 2 * HOUR_MS)));
        _refuse(proof, _notValid(fromMs - 1, fromMs, untilMs));
    }

    /// @notice Signed before the key was revoked: still good.
    function testRevokedLater() public {
        uint64 untilMs = _closingHeader().sentMs + 1;
        vm.prank(admin);
        gateways.revoke(gatewayId, untilMs);
        escrow.settle(terms, 0, good);
    }

    /// @notice A frame from the future: its gateway's clock, or its totals, are made up.
    function testFrameAheadOfItsAnchor() public {
        FrameCodec.Header memory header = _closingHeader();
        uint64 anchoredS = uint64(block.timestamp);
        header.sentMs = anchoredS * 1000 + 600_001;
        FrameCodec.RunRecord[] memory runs = _runs(_run(1, 2 * HOUR_MS));
        FrameProof memory proof = _anchored(header, runs);
        vm.warp(block.timestamp + WINDOW_S);
        _refuse(proof, abi.encodeWithSelector(ILegEvidence.FrameAhead.selector, header.sentMs, anchoredS));
    }

    // ---- Anchor

    function testNotFinal() public {
        FrameCodec.RunRecord[] memory runs = _runs(_run(1, 2 * HOUR_MS));
        FrameProof memory proof = _anchored(_closingHeader(), runs);
        vm.warp(block.timestamp + WINDOW_S - 1);
        _refuse(proof, abi.encodeWithSelector(ILegEvidence.IntervalNotFinal.selector, proof.interval));
    }

    function testContestedAndVoid() public {
        FrameCodec.RunRecord[] memory runs = _runs(_run(1, 2 * HOUR_MS));
        FrameProof memory proof = _anchored(_closingHeader(), runs);
        vm.prank(guardian);
        anchors.contest(proof.interval, proof.anchored, "withheld");
        bytes memory reason = abi.encodeWithSelector(ILegEvidence.IntervalNotFinal.selector, proof.interval);
        _refuse(proof, reason);
        vm.prank(guardian);
        anchors.endContest(proof.interval, proof.anchored, true);
        vm.warp(block.timestamp + WINDOW_S);
        _refuse(proof, reason);
    }

    function testIntervalNeverAnchored() public {
        FrameProof memory proof = good;
        proof.interval = 77;
        _refuse(proof, abi.encodeWithSelector(ILegEvidence.IntervalNotFinal.selector, 77));
    }

    /// @notice Anchor data of one's own making: time moved back, count or root changed.
    function testForgedAnchorData() public {
        FrameProof memory proof = good;
        proof.anchored.anchoredS -= 1;
        _refusePartly(proof, IAnchorRegistry.AnchorMismatch.selector);
        proof = good;
        proof.anchored.batchCount = 3;
        _refusePartly(proof, IAnchorRegistry.AnchorMismatch.selector);
        proof = good;
        proof.anchored.superRoot = "mine";
        _refusePartly(proof, IAnchorRegistry.AnchorMismatch.selector);
    }

    /// @notice A proof from another interval's tree.
    function testProofOfAnotherInterval() public {
        vm.prank(anchorer);
        anchors.anchor(2, "another root", 2);
        FrameProof memory proof = good;
        proof.interval = 2;
        proof.anchored = IAnchorRegistry.Anchor("another root", 2, uint64(block.timestamp));
        vm.warp(block.timestamp + WINDOW_S);
        _refusePartly(proof, Rfc9162.ProofRoot.selector);
    }

    // ---- Inclusion

    function testWrongPlaces() public {
        FrameProof memory proof = good;
        proof.frameIndex = 0;
        _refusePartly(proof, Rfc9162.ProofRoot.selector);
        proof.frameIndex = 3;
        _refuse(proof, abi.encodeWithSelector(Rfc9162.ProofIndex.selector, 3, 3));
        proof.frameIndex = 1;
        proof.batchIndex = 1;
        _refusePartly(proof, Rfc9162.ProofRoot.selector);
        proof.batchIndex = 2;
        _refuse(proof, abi.encodeWithSelector(Rfc9162.ProofIndex.selector, 2, 2));
    }

    function testSiblingsTooFewAndTooMany() public {
        FrameProof memory proof = good;
        bytes32[] memory siblings = proof.frameSiblings;
        proof.frameSiblings = _resized(siblings, siblings.length - 1);
        _refusePartly(proof, Rfc9162.ProofShort.selector);
        proof.frameSiblings = _resized(siblings, siblings.length + 1);
        _refusePartly(proof, Rfc9162.ProofLong.selector);
        proof.frameSiblings = siblings;
        siblings = proof.batchSiblings;
        proof.batchSiblings = _resized(siblings, 0);
        _refusePartly(proof, Rfc9162.ProofShort.selector);
        proof.batchSiblings = _resized(siblings, 33);
        _refusePartly(proof, Rfc9162.ProofLong.selector);
    }

    /// @notice Any one bit of the evidence changed: refused.
    function testFuzz_AnyBitChanged(uint256 part, uint256 place, uint8 bit) public {
        FrameProof memory proof = good;
        part = bound(part, 0, 4);
        if (part == 0) _flip(proof.header, place, bit);
        else if (part == 1) _flip(proof.batchLeaf, place, bit);
        else if (part == 2) _flip(proof.runs[0].record, place, bit);
        else if (part == 3) _flip(proof.frameSiblings, place, bit);
        else _flip(proof.batchSiblings, place, bit);
        _refuseSomehow(proof);
    }

    /// @notice Bytes cut off or added anywhere: refused by the layout's length.
    function testLengths() public {
        FrameProof memory proof = good;
        proof.header = bytes.concat(proof.header, hex"00");
        _refuse(proof, abi.encodeWithSelector(FrameCodec.LayoutLength.selector, 222, 221));
        proof = good;
        proof.batchLeaf = bytes.concat(proof.batchLeaf, hex"00");
        _refuse(proof, abi.encodeWithSelector(FrameCodec.LayoutLength.selector, 159, 158));
        proof = good;
        proof.runs[0].record = bytes.concat(proof.runs[0].record, hex"00");
        _refusePartly(proof, Rfc9162.ProofRoot.selector);
    }

    /// @notice A run record in a batch leaf's place, and the reverse.
    function testLayoutsSwapped() public {
        FrameProof memory proof = good;
        bytes memory record = proof.runs[0].record;
        proof.batchLeaf = record;
        _refuse(proof, abi.encodeWithSelector(FrameCodec.LayoutLength.selector, 207, 158));
        proof = good;
        proof.header = proof.batchLeaf;
        _refuse(proof, abi.encodeWithSelector(FrameCodec.LayoutLength.selector, 158, 221));
    }

    /// @notice An inner node shown as a run record: 64 bytes are no run record, and a leaf is hashed as a leaf.
    function testNodeAsARun() public {
        FrameCodec.RunRecord[] memory runs = _runs(_run(1, 2 * HOUR_MS), _run(2, 0));
        FrameProof memory proof = _final(2, 99, runs);
        bytes32[] memory leaves = _leaves(runs);
        proof.runs = new RunProof[](1);
        proof.runs[0] = RunProof(abi.encodePacked(leaves[0], leaves[1]), 0, new bytes32[](0));
        _refusePartly(proof, Rfc9162.ProofShort.selector);
    }

    // ---- Runs

    function testRunMissing() public {
        FrameProof memory proof = good;
        proof.runs = new RunProof[](0);
        _refuse(proof, abi.encodeWithSelector(ILegEvidence.RunMissing.selector, 1));
    }

    function testRunOfAnotherChannel() public {
        FrameProof memory proof = _final(2, 99, _runs(_run(2, 2 * HOUR_MS)));
        _refuse(proof, abi.encodeWithSelector(ILegEvidence.RunMissing.selector, 1));
    }

    /// @notice One channel's run cannot be shown for two, or one twice.
    function testRunNotWanted() public {
        FrameProof memory proof = _final(2, 99, _runs(_run(1, 2 * HOUR_MS), _run(2, 0)));
        _refuse(proof, abi.encodeWithSelector(ILegEvidence.RunNotWanted.selector, 1));
        proof.runs[1] = proof.runs[0];
        _refuse(proof, abi.encodeWithSelector(ILegEvidence.RunNotWanted.selector, 1));
    }

    function testRunOutOfPlace() public {
        FrameProof memory proof = _final(2, 99, _runs(_run(1, 2 * HOUR_MS), _run(2, 0)));
        RunProof[] memory runs = new RunProof[](1);
        runs[0] = proof.runs[0];
        proof.runs = runs;
        proof.runs[0].index = 1;
        _refusePartly(proof, Rfc9162.ProofRoot.selector);
        proof.runs[0].index = 2;
        _refuse(proof, abi.encodeWithSelector(Rfc9162.ProofIndex.selector, 2, 2));
    }

    /// @notice Readings whose totals were left out.
    function testRunWithoutTotals() public {
        FrameCodec.RunRecord memory run = _run(1, 2 * HOUR_MS);
        FrameCodec.Totals memory nothing;
        run.totals = nothing;
        FrameProof memory proof = _final(2, 99, _runs(run));
        _refuse(proof, abi.encodeWithSelector(FrameCodec.RunField.selector, 65));
    }

    // ---- Replay

    /// @notice Signatures for one escrow or one chain are worthless at another.
    function testTermsOfAnotherEscrowOrChain() public {
        Terms memory again = terms;
        again.salt = 3;
        _deposit(BOND);
        bytes32 id = escrow.agreementId(again);
        (bytes memory byCarrier, bytes memory byShipper) = (_sign("carrier", id), _sign("shipper", id));
        PenaltyEscrow other = new PenaltyEscrow(gateways, anchors, vault);
        vm.warp(START_S);
        bytes memory reason = abi.encodeWithSelector(IPenaltyEscrow.SignatureOfParty.selector, carrier);
        vm.expectRevert(reason);
        other.open(again, byCarrier, byShipper);
        vm.chainId(2);
        vm.expectRevert(reason);
        escrow.open(again, byCarrier, byShipper);
    }

    /// @notice The same evidence under two agreements pays each from its own bond only.
    function testOneBreachUnderTwoAgreements() public {
        Terms memory second = terms;
        second.salt = 2;
        second.bond = second.legCap = 100e6;
        _openEarlier(second);
        escrow.settle(terms, 0, good);
        escrow.settle(second, 0, good);
        assertEq(_credit(shipper), 400e6, "300 of the first, all 100 of the second");
        assertEq(_free(), BOND - 300e6, "rest of the first");
        assertEq(_locked(), 0, "nothing locked");
    }

    /// @notice Terms changed after signing name an agreement that was never opened.
    function testTermsTamperedWith() public {
        Terms memory changed = terms;
        changed.tiers[0].threshold = 0;
        bytes32 id = escrow.agreementId(changed);
        vm.expectRevert(
            abi.encodeWithSelector(IPenaltyEscrow.AgreementState.selector, id, IPenaltyEscrow.State.None)
        );
        escrow.settle(changed, 0, good);
    }

    /// @notice Wallet contracts may sign; one that refuses, reverts or burns gas only fails to sign.
    function testWalletContracts() public {
        vm.warp(START_S);
        for (uint256 mode = 1; mode < 4; ++mode) {
            Terms memory made = terms;
            made.shipper = address(new Wallet(mode));
            made.salt = 3;
            bytes memory byCarrier = _sign("carrier", escrow.agreementId(made));
            vm.expectRevert(abi.encodeWithSelector(IPenaltyEscrow.SignatureOfParty.selector, made.shipper));
            escrow.open{gas: 3_000_000}(made, byCarrier, "");
        }
        Terms memory good_ = terms;
        good_.shipper = address(new Wallet(0));
        _deposit(BOND);
        bytes memory signature = _sign("carrier", escrow.agreementId(good_));
        escrow.open(good_, signature, "");
    }

    // ---- Help

    function _closingHeader() private view returns (FrameCodec.Header memory) {
        return _header(2, 99, _runs(_run(1, 2 * HOUR_MS)));
    }

    function _notValid(uint64 eventMs, uint64 fromMs, uint64 untilMs) private view returns (bytes memory) {
        return abi.encodeWithSelector(
            IGatewayRegistry.GatewayNotValid.selector, gatewayId, eventMs, fromMs, untilMs
        );
    }

    function _refuse(FrameProof memory proof, bytes memory reason) private {
        vm.expectRevert(reason);
        escrow.settle(terms, 0, proof);
    }

    function _refusePartly(FrameProof memory proof, bytes4 selector) private {
        vm.expectPartialRevert(selector);
        escrow.settle(terms, 0, proof);
    }

    function _refuseSomehow(FrameProof memory proof) private {
        try escrow.settle(terms, 0, proof) {
            revert NotTrue("refused");
        } catch {}
    }

    function _flip(bytes memory data, uint256 place, uint8 bit) private pure {
        place = place % data.length;
        data[place] ^= bytes1(uint8(1 << (bit % 8)));
    }

    function _flip(bytes32[] memory list, uint256 place, uint8 bit) private pure {
        place = place % list.length;
        list[place] ^= bytes32(1 << bit);
    }

    function _resized(bytes32[] memory list, uint256 length) private pure returns (bytes32[] memory sized) {
        sized = new bytes32[](length);
        for (uint256 i = 0; i < length && i < list.length; ++i) {
            sized[i] = list[i];
        }
    }
}

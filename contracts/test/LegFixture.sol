// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {AnchorRegistry} from "../src/AnchorRegistry.sol";
import {CreditVault} from "../src/CreditVault.sol";
import {FrameCodec} from "../src/FrameCodec.sol";
import {GatewayRegistry} from "../src/GatewayRegistry.sol";
import {MockToken} from "../src/MockToken.sol";
import {PenaltyEscrow} from "../src/PenaltyEscrow.sol";
import {FrameProof, Leg, RunProof, Terms, Tier} from "../src/Settlement.sol";
import {IAnchorRegistry} from "../src/interfaces/IAnchorRegistry.sol";
import {Base} from "./Base.sol";
import {Encode} from "./Encode.sol";
import {NaiveTree} from "./NaiveTree.sol";

/// @dev One tenant, one gateway, one leg under terms, on fresh contracts; frames of it are made to measure.
abstract contract LegFixture is Base {
    uint32 internal constant WINDOW_S = 2 days;
    uint32 internal constant SHOW_S = 30 days;
    uint64 internal constant START_S = 1_767_225_600;
    uint64 internal constant BEGIN_MS = START_S * 1000;
    uint64 internal constant HOUR_MS = 3_600_000;
    uint128 internal constant BOND = 1000e6;
    uint256 internal constant P256_ORDER = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551;

    bytes32 internal constant TENANT = keccak256("tenant");
    bytes32 internal constant LEG = keccak256("a leg");
    bytes32 internal constant LIMITS = keccak256("limits");
    uint256 internal constant GATEWAY_KEY = 0x6a7e;

    GatewayRegistry internal gateways;
    AnchorRegistry internal anchors;
    CreditVault internal vault;
    PenaltyEscrow internal escrow;
    MockToken internal token;
    bytes32 internal gatewayId;

    address internal registrar = actor("registrar");
    address internal admin = actor("tenant admin");
    address internal anchorer = actor("anchorer");
    address internal guardian = actor("guardian");
    address internal steward = actor("steward");
    address internal carrier = actor("carrier");
    address internal shipper = actor("shipper");

    function setUp() public virtual {
        vm.warp(START_S);
        gateways = new GatewayRegistry(registrar);
        anchors = new AnchorRegistry(anchorer, guardian, WINDOW_S);
        vault = new CreditVault(steward);
        escrow = new PenaltyEscrow(gateways, anchors, vault);
        token = new MockToken();
        vm.startPrank(steward);
        vault.allowToken(address(token), true);
        vault.admit(address(escrow), address(token), 1_000_000e6, 1 days);
        vm.stopPrank();
        vm.prank(registrar);
        gateways.enrolTenant(TENANT, admin);
        gatewayId = _register(GATEWAY_KEY);
    }

    // ---- Parties and terms

    function _register(uint256 key) internal returns (bytes32) {
        (uint256 x, uint256 y) = vm.publicKeyP256(key);
        vm.prank(admin);
        return gateways.register(1, x, y, TENANT, BEGIN_MS - HOUR_MS, BEGIN_MS + 1000 * HOUR_MS);
    }

    function _tier(uint16 channel, uint8 metric, uint128 threshold, uint128 amount)
        internal
        pure
        returns (Tier memory)
    {
        return Tier(channel, metric, threshold, amount);
    }

    function _tiers(Tier memory one) internal pure returns (Tier[] memory list) {
        list = new Tier[](1);
        list[0] = one;
    }

    function _tiers(Tier memory one, Tier memory two) internal pure returns (Tier[] memory list) {
        list = new Tier[](2);
        (list[0], list[1]) = (one, two);
    }

    function _tiers(Tier memory one, Tier memory two, Tier memory three)
        internal
        pure
        returns (Tier[] memory list)
    {
        list = new Tier[](3);
        (list[0], list[1], list[2]) = (one, two, three);
    }

    /// @dev A leg of 48 h, due after 50 h, with a deadline after 72 h.
    function _leg(bytes32 legId) internal view returns (Leg memory) {
        return Leg(gatewayId, legId, LIMITS, BEGIN_MS, BEGIN_MS + 50 * HOUR_MS, START_S + 72 hours);
    }

    function _legs(bytes32 one, bytes32 two) internal view returns (Leg[] memory legs) {
        legs = new Leg[](2);
        (legs[0], legs[1]) = (_leg(one), _leg(two));
    }

    function _terms(Tier[] memory tiers) internal view returns (Terms memory terms) {
        terms.carrier = carrier;
        terms.shipper = shipper;
        terms.token = address(token);
        terms.tenant = TENANT;
        terms.windowS = SHOW_S;
        terms.bond = BOND;
        terms.legCap = BOND;
        terms.salt = 1;
        terms.legs = new Leg[](1);
        terms.legs[0] = _leg(LEG);
        terms.tiers = tiers;
    }

    /// @dev Above 8 °C for more than an hour on channel 1: 300; more than 3 h: 400 more.
    function _terms() internal view returns (Terms memory) {
        return _terms(_tiers(_tier(1, 1, HOUR_MS, 300e6), _tier(1, 1, 3 * HOUR_MS, 400e6)));
    }

    function _sign(string memory name, bytes32 digest) internal pure returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(actorKey(name), digest);
        return abi.encodePacked(r, s, v);
    }

    function _deposit(uint256 amount) internal {
        token.mint(carrier, amount);
        vm.startPrank(carrier);
        token.approve(address(vault), amount);
        vault.deposit(address(escrow), address(token), amount);
        vm.stopPrank();
    }

    function _openSigned(Terms memory terms) internal returns (bytes32) {
        bytes32 id = escrow.agreementId(terms);
        return escrow.open(terms, _sign("carrier", id), _sign("shipper", id));
    }

    function _open(Terms memory terms) internal returns (bytes32) {
        _deposit(terms.bond);
        return _openSigned(terms);
    }

    /// @dev Opened at the start, as if that were now.
    function _openEarlier(Terms memory terms) internal returns (bytes32 id) {
        uint256 nowS = block.timestamp;
        vm.warp(START_S);
        id = _open(terms);
        vm.warp(nowS);
    }

    function _warpTo(uint256 nowS) internal {
        if (block.timestamp < nowS) vm.warp(nowS);
    }

    /// @dev Storage takes arrays of structs from memory only one by one.
    function _keep(Terms storage kept, Terms memory made) internal {
        (kept.carrier, kept.shipper, kept.token) = (made.carrier, made.shipper, made.token);
        (kept.tenant, kept.windowS, kept.salt) = (made.tenant, made.windowS, made.salt);
        (kept.bond, kept.legCap) = (made.bond, made.legCap);
        kept.uncertaintyMaxMilli = made.uncertaintyMaxMilli;
        for (uint256 i = 0; i < made.legs.length; ++i) {
            kept.legs.push(made.legs[i]);
        }
        for (uint256 i = 0; i < made.tiers.length; ++i) {
            kept.tiers.push(made.tiers[i]);
        }
    }

    function _keep(FrameProof storage kept, FrameProof memory proof) internal {
        (kept.header, kept.r, kept.s) = (proof.header, proof.r, proof.s);
        (kept.frameIndex, kept.frameSiblings) = (proof.frameIndex, proof.frameSiblings);
        (kept.batchLeaf, kept.batchIndex) = (proof.batchLeaf, proof.batchIndex);
        (kept.batchSiblings, kept.interval) = (proof.batchSiblings, proof.interval);
        kept.anchored = proof.anchored;
        for (uint256 i = 0; i < proof.runs.length; ++i) {
            kept.runs.push();
            kept.runs[i].record = proof.runs[i].record;
            kept.runs[i].index = proof.runs[i].index;
            kept.runs[i].siblings = proof.runs[i].siblings;
        }
    }

    // ---- Frames

    /// @dev 48 h of readings every 10 minutes at 5 °C, of it `aboveMs` above the limit in one stretch.
    function _run(uint16 channel, uint64 aboveMs) internal pure returns (FrameCodec.RunRecord memory run) {
        FrameCodec.Totals memory totals = run.totals;
        totals.firstSeq = 7;
        totals.count = 289;
        totals.validCount = 289;
        totals.firstMs = BEGIN_MS;
        totals.lastMs = BEGIN_MS + 48 * HOUR_MS;
        totals.validMs = totals.lastMs;
        totals.lastValue = 5000;
        totals.minValue = 4000;
        totals.maxValue = 9000;
        totals.longestGapMs = 600_000;
        totals.knownMs = 48 * HOUR_MS;
        totals.aboveMs = aboveMs;
        totals.aboveLongestMs = aboveMs;
        totals.mktWeightSum = uint128(8_294_068_946) * totals.knownMs;
        run.channel = channel;
        run.quantity = 1;
        run.firstSeq = 290;
        run.count = 6;
        run.firstTimeMs = totals.lastMs - 5 * 600_000;
        run.lastTimeMs = totals.lastMs;
        run.readingsRoot = sha256("readings");
    }

    function _runs(FrameCodec.RunRecord memory one)
        internal
        pure
        returns (FrameCodec.RunRecord[] memory list)
    {
        list = new FrameCodec.RunRecord[](1);
        list[0] = one;
    }

    function _runs(FrameCodec.RunRecord memory one, FrameCodec.RunRecord memory two)
        internal
        pure
        returns (FrameCodec.RunRecord[] memory list)
    {
        list = new FrameCodec.RunRecord[](2);
        (list[0], list[1]) = (one, two);
    }

    function _header(uint8 legState, uint64 frameSeq, FrameCodec.RunRecord[] memory runs)
        internal
        view
        returns (FrameCodec.Header memory header)
    {
        header.gatewayId = gatewayId;
        header.legState = legState;
        header.legId = LEG;
        header.limitsHash = LIMITS;
        header.frameSeq = frameSeq;
        header.previousHash = frameSeq == 0 ? bytes32(0) : sha256("the frame before");
        header.sentMs = BEGIN_MS + 48 * HOUR_MS + 1000;
        header.runsRoot = NaiveTree.root(_leaves(runs));
        header.runCount = uint16(runs.length);
    }

    function _leaves(FrameCodec.RunRecord[] memory runs) internal pure returns (bytes32[] memory leaves) {
        leaves = new bytes32[](runs.length);
        for (uint256 i = 0; i < runs.length; ++i) {
            leaves[i] = NaiveTree.hashLeaf(Encode.run(runs[i]));
        }
    }

    function _runProofs(FrameCodec.RunRecord[] memory runs) internal pure returns (RunProof[] memory proofs) {
        bytes32[] memory leaves = _leaves(runs);
        proofs = new RunProof[](runs.length);
        for (uint256 i = 0; i < runs.length; ++i) {
            proofs[i] = RunProof(Encode.run(runs[i]), uint64(i), NaiveTree.path(leaves, i));
        }
    }

    /// @dev The header signed by the gateway, in a batch of three and an interval of two that is now anchored.
    function _anchored(FrameCodec.Header memory header, FrameCodec.RunRecord[] memory runs)
        internal
        returns (FrameProof memory proof)
    {
        proof = _signed(header, runs);
        _place(proof, TENANT);
        _anchor(proof);
    }

    function _signed(FrameCodec.Header memory header, FrameCodec.RunRecord[] memory runs)
        internal
        pure
        returns (FrameProof memory proof)
    {
        proof.header = Encode.header(header);
        proof.runs = _runProofs(runs);
        _signFrame(proof, GATEWAY_KEY);
    }

    function _signFrame(FrameProof memory proof, uint256 key) internal pure {
        bytes memory message = bytes.concat(hex"846a5369676e61747572653143a101264058dd", proof.header);
        (bytes32 r, bytes32 s) = vm.signP256(key, sha256(message));
        proof.r = r;
        proof.s = uint256(s) > P256_ORDER / 2 ? bytes32(P256_ORDER - uint256(s)) : s;
    }

    function _place(FrameProof memory proof, bytes32 tenant) internal pure {
        bytes memory signed = bytes.concat(hex"846a5369676e61747572653143a101264058dd", proof.header);
        bytes32[] memory frames = new bytes32[](3);
        (frames[0], frames[2]) = (sha256("frame 0"), sha256("frame 2"));
        frames[1] = NaiveTree.hashLeaf(signed);
        proof.frameIndex = 1;
        proof.frameSiblings = NaiveTree.path(frames, 1);
        proof.batchLeaf = Encode.batchLeaf(
            FrameCodec.BatchLeaf(
                tenant, 1, NaiveTree.root(frames), 3, BEGIN_MS, BEGIN_MS, 0, sha256("demo/00000001.parquet")
            )
        );
        bytes32[] memory batches = new bytes32[](2);
        (batches[0], batches[1]) = (NaiveTree.hashLeaf(proof.batchLeaf), sha256("another tenant's"));
        proof.batchIndex = 0;
        proof.batchSiblings = NaiveTree.path(batches, 0);
        proof.anchored.superRoot = NaiveTree.root(batches);
        proof.anchored.batchCount = 2;
    }

    function _anchor(FrameProof memory proof) internal {
        proof.interval = anchors.head() + 1;
        proof.anchored.anchoredS = uint64(block.timestamp);
        vm.prank(anchorer);
        anchors.anchor(proof.interval, proof.anchored.superRoot, proof.anchored.batchCount);
    }

    /// @dev A closing frame of channel 1, anchored at 49 h and final.
    function _closing(uint64 aboveMs) internal returns (FrameProof memory) {
        return _final(2, 99, _runs(_run(1, aboveMs)));
    }

    function _final(uint8 legState, uint64 frameSeq, FrameCodec.RunRecord[] memory runs)
        internal
        returns (FrameProof memory proof)
    {
        return _final(_header(legState, frameSeq, runs), runs);
    }

    function _final(FrameCodec.Header memory header, FrameCodec.RunRecord[] memory runs)
        internal
        returns (FrameProof memory proof)
    {
        uint256 sentS = header.sentMs / 1000 + 1;
        if (block.timestamp < sentS) vm.warp(sentS);
        proof = _anchored(header, runs);
        vm.warp(block.timestamp + WINDOW_S);
    }

    function _credit(address owner) internal view returns (uint256) {
        return vault.creditOf(address(token), owner);
    }

    function _free() internal view returns (uint256) {
        return vault.depositOf(address(escrow), address(token), carrier).free;
    }

    function _locked() internal view returns (uint256) {
        return vault.depositOf(address(escrow), address(token), carrier).locked;
    }
}

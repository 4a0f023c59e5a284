// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {P256} from "@openzeppelin/contracts/utils/cryptography/P256.sol";
import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";
import {FrameCodec} from "./FrameCodec.sol";
import {Metrics} from "./Metrics.sol";
import {Rfc9162} from "./Rfc9162.sol";
import {FrameProof, RunProof, Terms, Tier} from "./Settlement.sol";
import {TermsCodec} from "./TermsCodec.sol";
import {IAnchorRegistry} from "./interfaces/IAnchorRegistry.sol";
import {ICreditVault} from "./interfaces/ICreditVault.sol";
import {IGatewayRegistry} from "./interfaces/IGatewayRegistry.sol";
import {IPenaltyEscrow} from "./interfaces/IPenaltyEscrow.sol";

/// @title PenaltyEscrow: what it promises is written at its interface, IPenaltyEscrow
contract PenaltyEscrow is IPenaltyEscrow, EIP712 {
    uint256 public constant TIERS_MAX = 32;
    /// @notice How far a gateway's clock may be ahead of the chain's.
    uint256 public constant CLOCK_AHEAD_MS_MAX = 10 minutes * 1000;

    IGatewayRegistry public immutable gateways;
    IAnchorRegistry public immutable anchors;
    ICreditVault public immutable vault;
    /// @notice The least window of terms: a frame anchored by the deadline is final before it ends.
    uint32 public immutable windowMinS;
    mapping(bytes32 id => Agreement agreement) private _agreements;

    constructor(IGatewayRegistry gateways_, IAnchorRegistry anchors_, ICreditVault vault_)
        EIP712("Lading PenaltyEscrow", "1")
    {
        gateways = gateways_;
        anchors = anchors_;
        vault = vault_;
        windowMinS = anchors_.windowS();
    }

    /// @inheritdoc IPenaltyEscrow
    function open(Terms calldata terms, bytes calldata carrierSignature, bytes calldata shipperSignature)
        external
        returns (bytes32 id)
    {
        _checkTerms(terms);
        id = agreementId(terms);
        Agreement storage agreement = _agreements[id];
        require(agreement.state == State.None, AgreementState(id, agreement.state));
        _checkSignature(terms.carrier, id, carrierSignature);
        _checkSignature(terms.shipper, id, shipperSignature);
        agreement.state = State.Open;
        emit Opened(id, terms.legId, terms.carrier, terms.shipper, terms.token, terms.bond);
        vault.lock(terms.token, terms.carrier, terms.bond);
    }

    /// @inheritdoc IPenaltyEscrow
    function settle(Terms calldata terms, FrameProof calldata proof) external {
        bytes32 id = agreementId(terms);
        _checkLive(id);
        uint256 endS = uint256(terms.deadlineS) + terms.windowS;
        require(block.timestamp < endS, TooLate(block.timestamp, endS));
        FrameCodec.Header memory header = _checkFrame(terms, proof);
        require(header.legState == FrameCodec.CLOSED, FrameNotClosing(header.frameSeq));
        uint256 penalty = _penaltyOfChannels(id, terms, proof, header);
        penalty += _penaltyOfLeg(id, terms, Metrics.positive(header.sentMs, terms.dueMs), 0);
        _conclude(id, terms, penalty);
    }

    /// @inheritdoc IPenaltyEscrow
    function show(Terms calldata terms, FrameProof calldata proof) external {
        bytes32 id = agreementId(terms);
        Agreement memory agreement = _checkLive(id);
        uint256 endS = uint256(terms.deadlineS) + terms.windowS;
        require(block.timestamp >= terms.deadlineS, TooEarly(block.timestamp, terms.deadlineS));
        require(block.timestamp < endS, TooLate(block.timestamp, endS));
        FrameCodec.Header memory header = _checkFrame(terms, proof);
        require(header.legState == FrameCodec.OPEN, FrameCloses(header.frameSeq));
        require(
            agreement.state == State.Open || header.frameSeq > agreement.frameSeq,
            FrameNotNewer(header.frameSeq, agreement.frameSeq)
        );
        // At most the bond, so it fits.
        uint256 penalty = _least(_penaltyOfChannels(id, terms, proof, header), terms.bond);
        _agreements[id] = Agreement(State.Shown, header.frameSeq, header.sentMs, uint96(penalty));
        emit Shown(id, terms.legId, header.frameSeq, header.sentMs, penalty);
    }

    /// @inheritdoc IPenaltyEscrow
    function finish(Terms calldata terms) external {
        bytes32 id = agreementId(terms);
        Agreement memory agreement = _checkLive(id);
        uint256 endS = uint256(terms.deadlineS) + terms.windowS;
        require(block.timestamp >= endS, TooEarly(block.timestamp, endS));
        uint256 deadlineMs = uint256(terms.deadlineS) * 1000;
        uint64 heardMs = agreement.state == State.Shown ? agreement.sentMs : terms.beginMs;
        uint256 penalty = _penaltyOfLeg(
            id, terms, Metrics.positive(deadlineMs, terms.dueMs), Metrics.positive(deadlineMs, heardMs)
        );
        _conclude(id, terms, penalty + agreement.penalty);
    }

    /// @inheritdoc IPenaltyEscrow
    function pay(Terms calldata terms) external {
        bytes32 id = agreementId(terms);
        Agreement memory agreement = _agreements[id];
        require(agreement.state == State.Judged, AgreementState(id, agreement.state));
        _pay(id, terms, agreement.penalty);
    }

    /// @inheritdoc IPenaltyEscrow
    function agreementOf(bytes32 id) external view returns (Agreement memory) {
        return _agreements[id];
    }

    /// @inheritdoc IPenaltyEscrow
    function agreementId(Terms calldata terms) public view returns (bytes32) {
        return _hashTypedDataV4(TermsCodec.hash(terms));
    }

    /// @dev Adds up the tiers of channels. The runs shown are the tiers' channels in order, each once.
    function _penaltyOfChannels(
        bytes32 id,
        Terms calldata terms,
        FrameProof calldata proof,
        FrameCodec.Header memory header
    ) private returns (uint256 penalty) {
        Tier[] calldata tiers = terms.tiers;
        uint256 next = _nextOfChannel(tiers, 0);
        for (uint256 i = 0; i < proof.runs.length; ++i) {
            require(next != tiers.length, RunNotWanted(i));
            FrameCodec.RunRecord memory run = _checkRun(proof.runs[i], header);
            require(run.channel == tiers[next].channel, RunMissing(tiers[next].channel));
            uint256 due;
            (due, next) = _penaltyOfRun(id, tiers, next, run, terms.beginMs, header.sentMs);
            penalty += due;
        }
        if (next != tiers.length) revert RunMissing(tiers[next].channel);
    }

    /// @dev The run's tiers from `next` on, and the first tier after them that is of a channel.
    function _penaltyOfRun(
        bytes32 id,
        Tier[] calldata tiers,
        uint256 next,
        FrameCodec.RunRecord memory run,
        uint64 beginMs,
        uint64 sentMs
    ) private returns (uint256 penalty, uint256) {
        while (next < tiers.length) {
            Tier calldata tier = tiers[next];
            if (tier.channel != run.channel) break;
            (uint256 figure, uint256 bound) =
                Metrics.ofChannel(tier.metric, run.totals, tier.threshold, beginMs, sentMs);
            if (figure > bound) penalty += _reach(id, next, figure, tier.amount);
            next = _nextOfChannel(tiers, next + 1);
        }
        return (penalty, next);
    }

    function _penaltyOfLeg(bytes32 id, Terms calldata terms, uint256 lateMs, uint256 silenceMs)
        private
        returns (uint256 penalty)
    {
        Tier[] calldata tiers = terms.tiers;
        for (uint256 i = 0; i < tiers.length; ++i) {
            Tier calldata tier = tiers[i];
            if (!Metrics.isOfLeg(tier.metric)) continue;
            uint256 figure = tier.metric == Metrics.LATE_MS ? lateMs : silenceMs;
            if (figure > tier.threshold) penalty += _reach(id, i, figure, tier.amount);
        }
    }

    function _reach(bytes32 id, uint256 index, uint256 figure, uint128 amount) private returns (uint256) {
        emit TierReached(id, index, figure, amount);
        return amount;
    }

    /// @dev The bond bounds the penalty. What the vault cannot let out now is kept, to be paid later.
    function _conclude(bytes32 id, Terms calldata terms, uint256 due) private {
        uint256 penalty = _least(due, terms.bond);
        if (penalty == 0 || penalty <= vault.outflowAvailable(address(this), terms.token)) {
            _pay(id, terms, penalty);
        } else {
            _agreements[id] = Agreement(State.Judged, 0, 0, uint96(penalty));
            emit Judged(id, terms.legId, penalty);
        }
    }

    /// @dev The rest of the bond goes back to the carrier's deposit.
    function _pay(bytes32 id, Terms calldata terms, uint256 penalty) private {
        uint256 rest = terms.bond - penalty;
        _agreements[id].state = State.Settled;
        if (penalty == 0) {
            emit Settled(id, terms.legId, Kind.Release, rest, 0);
        } else {
            emit Settled(id, terms.legId, Kind.Penalty, penalty, rest);
            vault.credit(terms.token, terms.carrier, terms.shipper, penalty);
        }
        if (rest != 0) vault.release(terms.token, terms.carrier, rest);
    }

    function _checkLive(bytes32 id) private view returns (Agreement memory agreement) {
        agreement = _agreements[id];
        require(
            agreement.state == State.Open || agreement.state == State.Shown,
            AgreementState(id, agreement.state)
        );
    }

    function _checkTerms(Terms calldata terms) private view {
        require(
            terms.carrier != address(0) && terms.shipper != address(0) && terms.carrier != terms.shipper,
            PartiesInvalid(terms.carrier, terms.shipper)
        );
        uint256 deadlineMs = uint256(terms.deadlineS) * 1000;
        require(
            block.timestamp < terms.deadlineS && terms.beginMs < deadlineMs
                && deadlineMs <= FrameCodec.TIME_MS_MAX
                && (terms.dueMs == 0 || (terms.beginMs <= terms.dueMs && terms.dueMs <= deadlineMs)),
            TermsTimes(terms.beginMs, terms.dueMs, terms.deadlineS, block.timestamp)
        );
        require(terms.windowS >= windowMinS, WindowTooShort(terms.windowS, windowMinS));
        require(terms.bond != 0 && terms.bond <= type(uint96).max, BondOutOfBounds(terms.bond));
        _checkTiers(terms);
    }

    /// @dev Strictly ascending by (channel, metric, threshold): one order, nothing twice.
    function _checkTiers(Terms calldata terms) private pure {
        uint256 count = terms.tiers.length;
        require(count != 0 && count <= TIERS_MAX, TierCountOutOfBounds(count));
        uint256 previous = 0;
        for (uint256 i = 0; i < count; ++i) {
            Tier calldata tier = terms.tiers[i];
            uint256 key = uint256(tier.channel) << 136 | uint256(tier.metric) << 128 | tier.threshold;
            require(key > previous, TierOutOfOrder(i));
            require(tier.metric != 0 && tier.metric <= Metrics.LAST && tier.amount != 0, TierInvalid(i));
            require(!Metrics.isOfLeg(tier.metric) || tier.channel == 0, TierInvalid(i));
            require(tier.metric != Metrics.LATE_MS || terms.dueMs != 0, TierInvalid(i));
            previous = key;
        }
    }

    /// @dev The first tier from `index` on that is of a channel, or the number of tiers.
    function _nextOfChannel(Tier[] calldata tiers, uint256 index) private pure returns (uint256) {
        while (index < tiers.length && Metrics.isOfLeg(tiers[index].metric)) ++index;
        return index;
    }

    function _checkSignature(address party, bytes32 id, bytes calldata signature) private view {
        require(SignatureChecker.isValidSignatureNowCalldata(party, id, signature), SignatureOfParty(party));
    }

    /// @dev The frame is of this leg, its gateway signed it while valid, and its anchor is final.
    function _checkFrame(Terms calldata terms, FrameProof calldata proof)
        private
        view
        returns (FrameCodec.Header memory)
    {
        FrameCodec.Header memory header = FrameCodec.decodeHeader(proof.header);
        require(header.gatewayId == terms.gatewayId, FrameGateway(header.gatewayId, terms.gatewayId));
        require(header.legId == terms.legId, FrameLeg(header.legId, terms.legId));
        require(header.limitsHash == terms.limitsHash, FrameLimits(header.limitsHash, terms.limitsHash));
        _checkAnchored(terms.tenant, proof);
        require(
            header.sentMs <= uint256(proof.anchored.anchoredS) * 1000 + CLOCK_AHEAD_MS_MAX,
            FrameAhead(header.sentMs, proof.anchored.anchoredS)
        );
        (bytes32 tenant, uint256 x, uint256 y) = gateways.keyAt(header.gatewayId, header.sentMs);
        require(tenant == terms.tenant, FrameTenant(tenant, terms.tenant));
        require(
            P256.verify(FrameCodec.signedDigest(proof.header), proof.r, proof.s, bytes32(x), bytes32(y)),
            FrameSignature()
        );
        return header;
    }

    function _checkAnchored(bytes32 tenant, FrameProof calldata proof) private view {
        require(anchors.isFinal(proof.interval, proof.anchored), IntervalNotFinal(proof.interval));
        FrameCodec.BatchLeaf memory batch = FrameCodec.decodeBatchLeaf(proof.batchLeaf);
        require(batch.tenant == tenant, FrameTenant(batch.tenant, tenant));
        Rfc9162.verifyInclusion(
            FrameCodec.frameHash(proof.header),
            proof.frameIndex,
            batch.frameCount,
            proof.frameSiblings,
            batch.framesRoot
        );
        Rfc9162.verifyInclusion(
            FrameCodec.leafHash(proof.batchLeaf),
            proof.batchIndex,
            proof.anchored.batchCount,
            proof.batchSiblings,
            proof.anchored.superRoot
        );
    }

    function _checkRun(RunProof calldata proof, FrameCodec.Header memory header)
        private
        view
        returns (FrameCodec.RunRecord memory)
    {
        Rfc9162.verifyInclusion(
            FrameCodec.leafHash(proof.record), proof.index, header.runCount, proof.siblings, header.runsRoot
        );
        return FrameCodec.decodeLegRun(proof.record);
    }

    function _least(uint256 a, uint256 b) private pure returns (uint256) {
        return a < b ? a : b;
    }
}

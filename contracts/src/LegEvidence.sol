// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {P256} from "@openzeppelin/contracts/utils/cryptography/P256.sol";
import {FrameCodec} from "./FrameCodec.sol";
import {Metrics} from "./Metrics.sol";
import {Rfc9162} from "./Rfc9162.sol";
import {FrameProof, Leg, RunProof, Tier} from "./Settlement.sol";
import {IAnchorRegistry} from "./interfaces/IAnchorRegistry.sol";
import {IGatewayRegistry} from "./interfaces/IGatewayRegistry.sol";
import {ILegEvidence} from "./interfaces/ILegEvidence.sol";

/// @title The one place that judges a leg's evidence, for every product: see ILegEvidence
abstract contract LegEvidence is ILegEvidence {
    uint256 public constant TIERS_MAX = 32;
    /// @notice How far a gateway's clock may be ahead of the chain's.
    uint256 public constant CLOCK_AHEAD_MS_MAX = 10 minutes * 1000;

    IGatewayRegistry public immutable gateways;
    IAnchorRegistry public immutable anchors;

    /// @dev Sum of the amounts of tiers, not bounded; bit i of reached: tier i is among them.
    struct Due {
        uint256 amount;
        uint256 reached;
    }

    /// @dev How totals are read. sinceMs: a channel whose readings begin before reaches no tier. uncertaintyMaxMilli:
    /// 0 asks for no certificates; the rest is of the channel at hand. isVoid: no certificate that counts.
    struct Sight {
        uint64 beginMs;
        uint64 sentMs;
        uint64 sinceMs;
        uint32 uncertaintyMaxMilli;
        uint32 uncertaintyMilli;
        bool isVoid;
    }

    constructor(IGatewayRegistry gateways_, IAnchorRegistry anchors_) {
        gateways = gateways_;
        anchors = anchors_;
    }

    /// @dev The leg can have a frame, its times are in order and its deadline is ahead.
    function _checkLeg(Leg calldata leg) internal view {
        require(leg.legId != 0 && leg.limitsHash != 0, LegUnnamed(leg.legId, leg.limitsHash));
        uint256 deadlineMs = uint256(leg.deadlineS) * 1000;
        require(
            block.timestamp < leg.deadlineS && leg.beginMs < deadlineMs
                && deadlineMs <= FrameCodec.TIME_MS_MAX
                && (leg.dueMs == 0 || (leg.beginMs <= leg.dueMs && leg.dueMs <= deadlineMs)),
            LegTimes(leg.beginMs, leg.dueMs, leg.deadlineS, block.timestamp)
        );
    }

    /// @dev Strictly ascending by (channel, metric, threshold): one order, nothing twice.
    /// @param hasDue Whether there is a time to be late by.
    function _checkTiers(Tier[] calldata tiers, bool hasDue) internal pure {
        uint256 count = tiers.length;
        require(count != 0 && count <= TIERS_MAX, TierCountOutOfBounds(count));
        uint256 previous = 0;
        for (uint256 i = 0; i < count; ++i) {
            Tier calldata tier = tiers[i];
            uint256 key = uint256(tier.channel) << 136 | uint256(tier.metric) << 128 | tier.threshold;
            require(key > previous, TierOutOfOrder(i));
            require(tier.metric != 0 && tier.metric <= Metrics.LAST && tier.amount != 0, TierInvalid(i));
            require(!Metrics.isOfLeg(tier.metric) || tier.channel == 0, TierInvalid(i));
            require(tier.metric != Metrics.LATE_MS || hasDue, TierInvalid(i));
            previous = key;
        }
    }

    /// @dev The frame's header, once it is sure that it is of this leg, that its gateway signed it while
    /// valid, and that its anchor is final.
    function _checkFrame(bytes32 tenant, Leg calldata leg, FrameProof calldata proof)
        internal
        view
        returns (FrameCodec.Header memory header)
    {
        bytes calldata encoded = proof.header;
        FrameCodec.decodeHeader(encoded, header);
        require(header.gatewayId == leg.gatewayId, FrameGateway(header.gatewayId, leg.gatewayId));
        require(header.legId == leg.legId, FrameLeg(header.legId, leg.legId));
        require(header.limitsHash == leg.limitsHash, FrameLimits(header.limitsHash, leg.limitsHash));
        require(
            header.sentMs <= uint256(proof.anchored.anchoredS) * 1000 + CLOCK_AHEAD_MS_MAX,
            FrameAhead(header.sentMs, proof.anchored.anchoredS)
        );
        (bytes32 frameHash, bytes32 digest) = FrameCodec.frameHashes(encoded);
        _checkAnchored(tenant, proof, frameHash);
        (bytes32 found, uint256 x, uint256 y) = gateways.keyAt(header.gatewayId, header.sentMs);
        require(found == tenant, FrameTenant(found, tenant));
        require(P256.verify(digest, proof.r, proof.s, bytes32(x), bytes32(y)), FrameSignature());
    }

    /// @dev How a leg's frame is read, of any age.
    function _sightOf(Leg calldata leg, FrameCodec.Header memory header, uint32 uncertaintyMaxMilli)
        internal
        pure
        returns (Sight memory sight)
    {
        sight.beginMs = leg.beginMs;
        sight.sentMs = header.sentMs;
        sight.uncertaintyMaxMilli = uncertaintyMaxMilli;
    }

    /// @dev What the tiers of channels make due by a frame that `_checkFrame` took. The runs shown are the
    /// tiers' channels in order, each once.
    function _dueOfChannels(
        Tier[] calldata tiers,
        RunProof[] calldata runs,
        FrameCodec.Header memory header,
        Sight memory sight
    ) internal view returns (Due memory due) {
        uint256 next = _nextOfChannel(tiers, 0);
        for (uint256 i = 0; i < runs.length; ++i) {
            require(next != tiers.length, RunNotWanted(i));
            FrameCodec.RunRecord memory run = _runOf(runs[i], header);
            require(run.channel == tiers[next].channel, RunMissing(tiers[next].channel));
            if (sight.uncertaintyMaxMilli != 0) _readCertificate(sight, header.gatewayId, run.channel);
            next = _addRun(due, tiers, next, run, sight);
        }
        if (next != tiers.length) revert RunMissing(tiers[next].channel);
    }

    /// @dev Until when the leg was heard of: the frame shown, 0 for none, but not before its planned begin, so that
    /// showing an early frame never costs more than showing none.
    function _heardMs(Leg calldata leg, uint64 shownMs) internal pure returns (uint64) {
        return shownMs > leg.beginMs ? shownMs : leg.beginMs;
    }

    /// @dev Adds what the tiers of the leg make due: lateness and silence.
    function _addLeg(Due memory due, Tier[] calldata tiers, uint256 lateMs, uint256 silenceMs) internal pure {
        for (uint256 i = 0; i < tiers.length; ++i) {
            Tier calldata tier = tiers[i];
            if (!Metrics.isOfLeg(tier.metric)) continue;
            if ((tier.metric == Metrics.LATE_MS ? lateMs : silenceMs) > tier.threshold) _add(due, i, tier);
        }
    }

    /// @dev Adds the run's tiers from `next` on; the first tier after them that is of a channel.
    function _addRun(
        Due memory due,
        Tier[] calldata tiers,
        uint256 next,
        FrameCodec.RunRecord memory run,
        Sight memory sight
    ) private pure returns (uint256) {
        bool counts =
            run.totals.count == 0 || run.totals.firstMs >= sight.sinceMs;
        while (next < tiers.length && tiers[next].channel == run.channel) {
            if (counts && _isReached(tiers[next], run.totals, sight)) {
                _add(due, next, tiers[next]);
            }
            next = _nextOfChannel(tiers, next + 1);
        }
        return next;
    }

    function _add(Due memory due, uint256 index, Tier calldata tier) private pure {
        due.amount += tier.amount;
        due.reached |= 1 << index;
    }

    function _isReached(Tier calldata tier, FrameCodec.Totals memory totals, Sight memory sight)
        private
        pure
        returns (bool)
    {
        uint8 metric = tier.metric;
        uint128 threshold = tier.threshold;
        if (sight.isVoid) return Metrics.ofNothing(metric, sight.beginMs, sight.sentMs) > threshold;
        (uint256 figure, uint256 bound) =
            Metrics.ofChannel(metric, totals, threshold, sight.beginMs, sight.sentMs);
        // In favour of who pays: an extreme counts only if it is out by more than the sensor may be wrong.
        if (metric == Metrics.MAX_VALUE || metric == Metrics.MIN_VALUE) bound += sight.uncertaintyMilli;
        return figure > bound;
    }

    /// @dev Only the registry's own word that there is no certificate makes a channel void: a call that fails for
    /// another reason, such as too little gas, must not change what is due.
    function _readCertificate(Sight memory sight, bytes32 gatewayId, uint16 channel) private view {
        try gateways.calibrationAt(gatewayId, channel, sight.sentMs) returns (
            IGatewayRegistry.Calibration memory found
        ) {
            sight.isVoid = found.uncertaintyMilli > sight.uncertaintyMaxMilli;
            sight.uncertaintyMilli = found.uncertaintyMilli;
        } catch (bytes memory reason) {
            bool isUnknown = bytes4(reason) == IGatewayRegistry.CalibrationUnknown.selector;
            require(isUnknown, CalibrationNotRead(channel));
            sight.isVoid = true;
        }
    }

    /// @dev A run record that is in the frame.
    function _runOf(RunProof calldata proof, FrameCodec.Header memory header)
        private
        view
        returns (FrameCodec.RunRecord memory run)
    {
        bytes calldata encoded = proof.record;
        Rfc9162.verifyInclusion(
            FrameCodec.leafHash(encoded), proof.index, header.runCount, proof.siblings, header.runsRoot
        );
        FrameCodec.decodeLegRun(encoded, run);
    }

    function _checkAnchored(bytes32 tenant, FrameProof calldata proof, bytes32 frameHash) private view {
        require(anchors.isFinal(proof.interval, proof.anchored), IntervalNotFinal(proof.interval));
        bytes calldata encoded = proof.batchLeaf;
        FrameCodec.BatchLeaf memory batch = FrameCodec.decodeBatchLeaf(encoded);
        require(batch.tenant == tenant, FrameTenant(batch.tenant, tenant));
        Rfc9162.verifyInclusion(
            frameHash, proof.frameIndex, batch.frameCount, proof.frameSiblings, batch.framesRoot
        );
        Rfc9162.verifyInclusion(
            FrameCodec.leafHash(encoded),
            proof.batchIndex,
            proof.anchored.batchCount,
            proof.batchSiblings,
            proof.anchored.superRoot
        );
    }

    /// @dev The first tier from `index` on that is of a channel, or the number of tiers.
    function _nextOfChannel(Tier[] calldata tiers, uint256 index) private pure returns (uint256) {
        while (index < tiers.length && Metrics.isOfLeg(tiers[index].metric)) ++index;
        return index;
    }
}

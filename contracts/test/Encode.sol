// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {FrameCodec} from "../src/FrameCodec.sol";

/// @dev The encoders that the chain does not need, written from docs/spec.
library Encode {
    function header(FrameCodec.Header memory h) internal pure returns (bytes memory) {
        bytes memory first = abi.encodePacked(
            uint16(0x0301), h.gatewayId, h.legState, h.legId, h.limitsHash, h.frameSeq, h.previousHash
        );
        return abi.encodePacked(first, h.sentMs, h.anchorInterval, h.anchorBlockHash, h.runsRoot, h.runCount);
    }

    function run(FrameCodec.RunRecord memory r) internal pure returns (bytes memory) {
        bytes memory first = abi.encodePacked(
            uint8(2), r.channel, r.quantity, r.firstSeq, r.count, r.firstTimeMs, r.lastTimeMs
        );
        return abi.encodePacked(first, r.readingsRoot, totals(r.totals));
    }

    function totals(FrameCodec.Totals memory t) internal pure returns (bytes memory) {
        bytes memory first = abi.encodePacked(
            t.firstSeq, t.count, t.validCount, t.firstMs, t.lastMs, t.lastFlags, t.lastValue, t.validMs
        );
        bytes memory second = abi.encodePacked(t.minValue, t.maxValue, t.longestGapMs, t.knownMs, t.unknownMs);
        bytes memory third = abi.encodePacked(t.aboveMs, t.aboveLongestMs, t.aboveCurrentMs);
        bytes memory fourth = abi.encodePacked(t.belowMs, t.belowLongestMs, t.belowCurrentMs, t.mktWeightSum);
        return abi.encodePacked(first, second, third, fourth);
    }

    function batchLeaf(FrameCodec.BatchLeaf memory b) internal pure returns (bytes memory) {
        bytes memory first =
            abi.encodePacked(uint16(0x0401), b.tenant, b.batchSeq, b.framesRoot, b.frameCount);
        return abi.encodePacked(first, b.firstEventMs, b.lastEventMs, b.previous, b.locationHash);
    }
}

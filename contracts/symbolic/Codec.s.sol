// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {FrameCodec} from "../src/FrameCodec.sol";
import {Encode} from "../test/Encode.sol";
import {Symbolic} from "./Symbolic.sol";

/// @notice What is decoded is what was encoded, in every field and of any bytes: nothing is read past its place, cut
/// off, sign-changed or left out, and no two encodings mean the same.
contract CodecProof is Symbolic {
    function check_HeaderRoundTrip() external view {
        bytes memory data = svm.createBytes(FrameCodec.HEADER_BYTES, "header");
        assert(keccak256(Encode.header(this.header(data))) == keccak256(data));
    }

    function check_RunRoundTrip() external view {
        bytes memory data = svm.createBytes(FrameCodec.RUN_BYTES, "run");
        assert(keccak256(Encode.run(this.run(data))) == keccak256(data));
    }

    function check_BatchLeafRoundTrip() external view {
        bytes memory data = svm.createBytes(FrameCodec.BATCH_BYTES, "batch");
        assert(keccak256(Encode.batchLeaf(this.batchLeaf(data))) == keccak256(data));
    }

    /// @notice What amounts are computed from is in order: times ascend, within what an agreement can be about, and
    /// known and unknown time are the whole.
    function check_TotalsAddUp() external view {
        FrameCodec.RunRecord memory run_ = this.run(svm.createBytes(FrameCodec.RUN_BYTES, "run"));
        FrameCodec.Totals memory totals = run_.totals;
        assert(totals.validCount <= totals.count && run_.count <= FrameCodec.RUN_READINGS_MAX);
        assert(totals.firstMs <= totals.lastMs && run_.firstTimeMs <= run_.lastTimeMs);
        if (totals.count == 0) return;
        assert(uint256(totals.knownMs) + totals.unknownMs == totals.lastMs - totals.firstMs);
        assert(uint256(totals.firstSeq) + totals.count <= type(uint64).max);
    }

    function header(bytes calldata data) external pure returns (FrameCodec.Header memory found) {
        FrameCodec.decodeHeader(data, found);
    }

    function run(bytes calldata data) external pure returns (FrameCodec.RunRecord memory found) {
        FrameCodec.decodeRun(data, found);
    }

    function batchLeaf(bytes calldata data) external pure returns (FrameCodec.BatchLeaf memory) {
        return FrameCodec.decodeBatchLeaf(data);
    }
}

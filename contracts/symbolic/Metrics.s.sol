// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {FrameCodec} from "../src/FrameCodec.sol";
import {Metrics} from "../src/Metrics.sol";
import {Symbolic} from "./Symbolic.sol";

/// @notice The figures that tiers compare, of any totals and times that decoding lets through.
contract MetricsProof is Symbolic {
    /// @notice No totals stop a settlement: no figure overflows, whatever the metric.
    function check_NoFigureReverts(FrameCodec.Totals memory totals, uint8 metric, uint128 threshold)
        external
        view
    {
        (uint64 beginMs, uint64 sentMs) = _times();
        try this.ofChannel(metric, totals, threshold, beginMs, sentMs) {}
        catch {
            assert(false);
        }
    }

    /// @notice A higher reading is never a lower figure of the highest, nor a lower one of the lowest; equal figures
    /// mean equal readings: the shift to whole numbers loses nothing.
    function check_ExtremesKeepTheirOrder(int32 one, int32 two) external pure {
        (uint256 maxOne, uint256 minOne) = _extremes(one);
        (uint256 maxTwo, uint256 minTwo) = _extremes(two);
        assert((one > two) == (maxOne > maxTwo));
        assert((one < two) == (minOne > minTwo));
    }

    /// @notice MKT is reached exactly if the sum of weights is above threshold · known time, without rounding.
    function check_MktIsCompared(uint128 sum, uint64 knownMs, uint128 threshold) external pure {
        FrameCodec.Totals memory totals;
        (totals.mktWeightSum, totals.knownMs) = (sum, knownMs);
        (uint256 figure, uint256 limit) = Metrics.ofChannel(Metrics.MKT, totals, threshold, 0, 0);
        assert((figure > limit) == (sum > uint256(threshold) * knownMs));
    }

    /// @notice What readings do not span is no more than the leg so far where they lie within it, and exactly the rest.
    function check_UncoveredIsTheRest(uint64 firstMs, uint64 lastMs) external pure {
        (uint64 beginMs, uint64 sentMs) = _times();
        vm.assume(beginMs <= firstMs && firstMs <= lastMs && lastMs <= sentMs);
        FrameCodec.Totals memory totals;
        (totals.count, totals.firstMs, totals.lastMs) = (1, firstMs, lastMs);
        (uint256 found,) = Metrics.ofChannel(Metrics.UNCOVERED_MS, totals, 0, beginMs, sentMs);
        assert(found == (sentMs - beginMs) - (lastMs - firstMs));
    }

    /// @notice A channel that shows nothing is never better off than one whose readings say anything of the same time.
    function check_NothingIsTheWorstGap(uint64 firstMs, uint64 lastMs, uint8 metric) external pure {
        (uint64 beginMs, uint64 sentMs) = _times();
        vm.assume(beginMs <= firstMs && firstMs <= lastMs && lastMs <= sentMs);
        FrameCodec.Totals memory totals;
        (totals.count, totals.firstMs, totals.lastMs) = (1, firstMs, lastMs);
        totals.longestGapMs = uint64(svm.createUint(64, "gap"));
        totals.unknownMs = uint64(svm.createUint(64, "unknown"));
        vm.assume(totals.longestGapMs <= lastMs - firstMs && totals.unknownMs <= lastMs - firstMs);
        vm.assume(
            metric == Metrics.LONGEST_GAP_MS || metric == Metrics.UNKNOWN_MS || metric == Metrics.UNCOVERED_MS
        );
        (uint256 shown,) = Metrics.ofChannel(metric, totals, 0, beginMs, sentMs);
        assert(shown <= Metrics.ofNothing(metric, beginMs, sentMs));
    }

    function check_PositiveIsADifference(uint256 a, uint256 b) external pure {
        uint256 found = Metrics.positive(a, b);
        assert(a > b ? found + b == a : found == 0);
    }

    function ofChannel(
        uint8 metric,
        FrameCodec.Totals calldata totals,
        uint128 threshold,
        uint64 beginMs,
        uint64 sentMs
    ) external pure returns (uint256, uint256) {
        return Metrics.ofChannel(metric, totals, threshold, beginMs, sentMs);
    }

    function _extremes(int32 value) private pure returns (uint256 max, uint256 min) {
        FrameCodec.Totals memory totals;
        (totals.validCount, totals.maxValue, totals.minValue) = (1, value, value);
        (max,) = Metrics.ofChannel(Metrics.MAX_VALUE, totals, 0, 0, 0);
        (min,) = Metrics.ofChannel(Metrics.MIN_VALUE, totals, 0, 0, 0);
    }

    function _times() private pure returns (uint64 beginMs, uint64 sentMs) {
        (beginMs, sentMs) = (uint64(svm.createUint(64, "begin")), uint64(svm.createUint(64, "sent")));
    }
}

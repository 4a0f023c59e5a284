// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {FrameCodec} from "./FrameCodec.sol";

/// @title The figures that tiers compare with their thresholds
/// @notice A tier is reached when its figure is greater than the threshold: docs/spec/settlement.md.
library Metrics {
    uint8 internal constant ABOVE_MS = 1;
    uint8 internal constant ABOVE_LONGEST_MS = 2;
    uint8 internal constant BELOW_MS = 3;
    uint8 internal constant BELOW_LONGEST_MS = 4;
    uint8 internal constant MKT = 5;
    uint8 internal constant LONGEST_GAP_MS = 6;
    uint8 internal constant UNKNOWN_MS = 7;
    uint8 internal constant LATE_MS = 8;
    uint8 internal constant SILENCE_MS = 9;
    uint8 internal constant MAX_VALUE = 10;
    uint8 internal constant MIN_VALUE = 11;
    uint8 internal constant UNCOVERED_MS = 12;
    uint8 internal constant LAST = UNCOVERED_MS;

    int256 private constant OFFSET = 1 << 31;

    /// @notice Whether the metric is of the leg as a whole, and its tier names channel 0.
    function isOfLeg(uint8 metric) internal pure returns (bool) {
        return metric == LATE_MS || metric == SILENCE_MS;
    }

    /// @notice The figure of one channel's metric, and what it is compared with.
    /// @return figure Greater than `bound` where the tier is reached.
    function ofChannel(
        uint8 metric,
        FrameCodec.Totals memory totals,
        uint128 threshold,
        uint64 beginMs,
        uint64 sentMs
    ) internal pure returns (uint256 figure, uint256 bound) {
        bound = threshold;
        if (metric == ABOVE_MS) figure = totals.aboveMs;
        else if (metric == ABOVE_LONGEST_MS) figure = totals.aboveLongestMs;
        else if (metric == BELOW_MS) figure = totals.belowMs;
        else if (metric == BELOW_LONGEST_MS) figure = totals.belowLongestMs;
        else if (metric == LONGEST_GAP_MS) figure = totals.longestGapMs;
        else if (metric == UNKNOWN_MS) figure = totals.unknownMs;
        else if (metric == UNCOVERED_MS) figure = _uncoveredMs(totals, beginMs, sentMs);
        else if (metric == MKT) (figure, bound) = (totals.mktWeightSum, bound * totals.knownMs);
        else figure = _extreme(metric, totals);
    }

    /// @notice The figure of a channel of which no reading counts: all its time is a gap, unknown and uncovered.
    function ofNothing(uint8 metric, uint64 beginMs, uint64 sentMs) internal pure returns (uint256) {
        bool isOfTime = metric == LONGEST_GAP_MS || metric == UNKNOWN_MS || metric == UNCOVERED_MS;
        return isOfTime ? positive(sentMs, beginMs) : 0;
    }

    /// @dev Values are shifted to be whole numbers from 0, the least one upside down.
    function _extreme(uint8 metric, FrameCodec.Totals memory totals) private pure returns (uint256) {
        if (totals.validCount == 0) return 0;
        if (metric == MAX_VALUE) return uint256(int256(totals.maxValue) + OFFSET);
        return uint256(OFFSET - totals.minValue);
    }

    /// @dev Time from the leg's planned begin to the frame that the channel's readings do not span.
    function _uncoveredMs(FrameCodec.Totals memory totals, uint64 beginMs, uint64 sentMs)
        private
        pure
        returns (uint256)
    {
        if (totals.count == 0) return positive(sentMs, beginMs);
        return positive(totals.firstMs, beginMs) + positive(sentMs, totals.lastMs);
    }

    /// @notice a − b, or 0 where that is negative.
    function positive(uint256 a, uint256 b) internal pure returns (uint256) {
        return a > b ? a - b : 0;
    }
}

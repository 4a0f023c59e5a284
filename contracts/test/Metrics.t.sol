// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {FrameCodec} from "../src/FrameCodec.sol";
import {Metrics} from "../src/Metrics.sol";
import {Base} from "./Base.sol";

/// @notice Each metric's figure by hand, from the table of docs/spec/settlement.md.
contract MetricsTest is Base {
    uint64 private constant BEGIN_MS = 1_000_000;
    uint64 private constant SENT_MS = 9_000_000;

    function testTimes() public pure {
        FrameCodec.Totals memory totals = _totals();
        _expect(1, totals, 11);
        _expect(2, totals, 12);
        _expect(3, totals, 13);
        _expect(4, totals, 14);
        _expect(6, totals, 16);
        _expect(7, totals, 17);
    }

    /// @notice A limit of −20 °C and one of 8 °C as thresholds, at the value itself and one beyond.
    function testExtremes() public pure {
        FrameCodec.Totals memory totals = _totals();
        (totals.maxValue, totals.minValue) = (8000, -20_000);
        uint128 upper = uint128(uint256(int256(8000) + 2 ** 31));
        uint128 lower = uint128(uint256(2 ** 31 - int256(-20_000)));
        assertTrue(!_isReached(10, totals, upper), "max at the limit");
        assertTrue(!_isReached(11, totals, lower), "min at the limit");
        (totals.maxValue, totals.minValue) = (8001, -20_001);
        assertTrue(_isReached(10, totals, upper), "max above");
        assertTrue(_isReached(11, totals, lower), "min below");
        (totals.maxValue, totals.minValue) = (type(int32).max, type(int32).min);
        _expect(10, totals, 2 ** 32 - 1);
        _expect(11, totals, 2 ** 32);
        totals.validCount = 0;
        _expect(10, totals, 0);
        _expect(11, totals, 0);
    }

    function testFuzz_ExtremesCompareAsValues(int32 found, int32 limit) public pure {
        FrameCodec.Totals memory totals = _totals();
        (totals.maxValue, totals.minValue) = (found, found);
        assertTrue(
            _isReached(10, totals, uint128(uint256(int256(limit) + 2 ** 31))) == (found > limit), "max"
        );
        assertTrue(
            _isReached(11, totals, uint128(uint256(2 ** 31 - int256(limit)))) == (found < limit), "min"
        );
    }

    /// @notice 23 h at 5 °C and 1 h at 25 °C is 7.76 °C: above 7.7 °C, not above 7.8 °C. w(7.7) and w(7.8) are
    /// floor(exp(−10000 K · (1/T − 1/T₀)) · 2^32 + ½), worked out apart.
    function testMeanKineticTemperature() public pure {
        FrameCodec.Totals memory totals = _totals();
        totals.mktWeightSum = 1_019_746_324_098_000_000;
        totals.knownMs = 86_400_000;
        assertTrue(_isReached(5, totals, 11_718_511_273), "above 7.7");
        assertTrue(!_isReached(5, totals, 11_867_970_902), "not above 7.8");
        totals.knownMs = 0;
        totals.mktWeightSum = 0;
        assertTrue(!_isReached(5, totals, 0), "nothing known, nothing broken");
    }

    function testFuzz_MeanKineticNeverOverflows(uint128 sum, uint128 threshold, uint64 knownMs) public pure {
        FrameCodec.Totals memory totals = _totals();
        (totals.mktWeightSum, totals.knownMs) = (sum, knownMs);
        bool isReached = _isReached(5, totals, threshold);
        assertTrue(isReached == (uint256(sum) > uint256(threshold) * knownMs), "as integers");
    }

    function testUncovered() public pure {
        FrameCodec.Totals memory totals = _totals();
        (totals.firstMs, totals.lastMs) = (BEGIN_MS + 30, SENT_MS - 12);
        _expect(12, totals, 42);
        (totals.firstMs, totals.lastMs) = (BEGIN_MS - 30, SENT_MS + 12);
        _expect(12, totals, 0);
        totals.count = 0;
        _expect(12, totals, SENT_MS - BEGIN_MS);
    }

    function testOnlyLatenessAndSilenceAreOfTheLeg() public pure {
        for (uint8 metric = 1; metric <= Metrics.LAST; ++metric) {
            assertTrue(Metrics.isOfLeg(metric) == (metric == 8 || metric == 9), "of the leg");
        }
    }

    function _totals() private pure returns (FrameCodec.Totals memory totals) {
        (totals.count, totals.validCount) = (5, 5);
        (totals.aboveMs, totals.aboveLongestMs) = (11, 12);
        (totals.belowMs, totals.belowLongestMs) = (13, 14);
        (totals.longestGapMs, totals.unknownMs) = (16, 17);
    }

    function _expect(uint8 metric, FrameCodec.Totals memory totals, uint256 wanted) private pure {
        (uint256 figure,) = Metrics.ofChannel(metric, totals, 0, BEGIN_MS, SENT_MS);
        assertEq(figure, wanted, "figure");
    }

    function _isReached(uint8 metric, FrameCodec.Totals memory totals, uint128 threshold)
        private
        pure
        returns (bool)
    {
        (uint256 figure, uint256 bound_) = Metrics.ofChannel(metric, totals, threshold, BEGIN_MS, SENT_MS);
        return figure > bound_;
    }
}

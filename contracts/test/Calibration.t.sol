// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {FrameCodec} from "../src/FrameCodec.sol";
import {FrameProof, Terms, Tier} from "../src/Settlement.sol";
import {IGatewayRegistry} from "../src/interfaces/IGatewayRegistry.sol";
import {ILegEvidence} from "../src/interfaces/ILegEvidence.sol";
import {IPenaltyEscrow} from "../src/interfaces/IPenaltyEscrow.sol";
import {LegFixture} from "./LegFixture.sol";

/// @notice Where terms ask for calibration certificates, a channel counts only as far as its sensor is vouched for.
contract CalibrationTest is LegFixture {
    uint64 private constant SENT_MS = BEGIN_MS + 48 * HOUR_MS + 1000;
    uint64 private constant YEAR_END_MS = BEGIN_MS + 8760 * HOUR_MS;
    uint32 private constant MAX_MILLI = 500;
    /// @dev Of `_everyMetric`: what 2 h above 8 °C and the greatest value of 9 °C reach, and what no reading does.
    uint256 private constant COUNTS = 1 << 0 | 1 << 2 | 1 << 5;
    uint256 private constant VOID = 1 << 2 | 1 << 3 | 1 << 4 | 1 << 6;
    uint128 private constant OFFSET = 1 << 31;

    function testWithACertificateTheTotalsCount() public {
        _calibrate(BEGIN_MS, YEAR_END_MS, MAX_MILLI);
        _expectReached(_everyMetric(), COUNTS);
    }

    /// @notice Without one only the tiers for time unknown are reached: from the planned begin to the frame.
    function testMissing() public {
        _expectReached(_everyMetric(), VOID);
    }

    function testExpired() public {
        _calibrate(BEGIN_MS, SENT_MS, 1);
        _expectReached(_everyMetric(), VOID);
    }

    function testValidToTheMillisecond() public {
        _calibrate(SENT_MS, SENT_MS + 1, 1);
        _expectReached(_everyMetric(), COUNTS);
    }

    function testNotYetValid() public {
        _calibrate(SENT_MS + 1, YEAR_END_MS, 1);
        _expectReached(_everyMetric(), VOID);
    }

    function testTooUncertain() public {
        _calibrate(BEGIN_MS, YEAR_END_MS, MAX_MILLI + 1);
        _expectReached(_everyMetric(), VOID);
    }

    /// @notice The newest certificate counts, though an older and better one has not ended.
    function testTheNewestCounts() public {
        _calibrate(BEGIN_MS, YEAR_END_MS, 1);
        _calibrate(BEGIN_MS + 1, YEAR_END_MS, MAX_MILLI + 1);
        _expectReached(_everyMetric(), VOID);
    }

    /// @notice Another gateway's certificate, or another channel's, vouches for nothing here.
    function testOfAnotherGatewayOrChannel() public {
        bytes32 other = _register(4321);
        vm.startPrank(admin);
        gateways.calibrate(other, 1, "certificate", BEGIN_MS, YEAR_END_MS, 1);
        gateways.calibrate(gatewayId, 2, "certificate", BEGIN_MS, YEAR_END_MS, 1);
        vm.stopPrank();
        _expectReached(_everyMetric(), VOID);
    }

    /// @notice Terms that do not ask take the totals as they are.
    function testNotAskedFor() public {
        Terms memory terms = _asking(_everyMetric());
        terms.uncertaintyMaxMilli = 0;
        _expectReached(terms, COUNTS);
    }

    /// @notice The greatest value was 9000 milli, the least 4000: a limit counts as passed only by more than
    /// the sensor may be wrong, in favour of who pays.
    function testUncertaintyIsInFavourOfWhoPays() public {
        _calibrate(BEGIN_MS, YEAR_END_MS, 300);
        Tier[] memory tiers = new Tier[](4);
        tiers[0] = _tier(1, 10, 8699 + OFFSET, 1);
        tiers[1] = _tier(1, 10, 8700 + OFFSET, 1);
        tiers[2] = _tier(1, 11, OFFSET - 4301, 1);
        tiers[3] = _tier(1, 11, OFFSET - 4300, 1);
        _expectReached(tiers, 1 << 0 | 1 << 2);
    }

    /// @notice Each channel is judged by its own certificate.
    function testEachChannelByItsOwn() public {
        vm.prank(admin);
        gateways.calibrate(gatewayId, 2, "certificate", BEGIN_MS, YEAR_END_MS, 1);
        Terms memory terms =
            _asking(_tiers(_tier(1, 1, HOUR_MS, 1), _tier(1, 7, 0, 2), _tier(2, 1, HOUR_MS, 4)));
        _open(terms);
        escrow.settle(terms, 0, _final(2, 99, _runs(_run(1, 2 * HOUR_MS), _run(2, 2 * HOUR_MS))));
        assertEq(_credit(shipper), 6, "unknown of channel 1, above of channel 2");
    }

    /// @notice Metrics of the leg need no sensor.
    function testLatenessNeedsNoCertificate() public {
        Terms memory terms = _asking(_tiers(_tier(0, 8, 0, 1), _tier(1, 1, 0, 2)));
        terms.legs[0].dueMs = BEGIN_MS + HOUR_MS;
        _expectReached(terms, 1 << 0);
    }

    function testAFrameShownIsJudgedAlike() public {
        Terms memory terms = _asking(_tiers(_tier(1, 1, HOUR_MS, 1), _tier(1, 12, 47 * HOUR_MS, 2)));
        bytes32 id = _open(terms);
        FrameProof memory proof = _final(1, 50, _runs(_run(1, 2 * HOUR_MS)));
        _warpTo(terms.legs[0].deadlineS);
        escrow.show(terms, 0, proof);
        assertEq(escrow.shownOf(id, 0).penalty, 2, "uncovered alone");
    }

    /// @notice Only the registry's own word makes a channel void: one that fails otherwise stops the step.
    function testRegistryThatFails() public {
        Terms memory terms = _asking(_everyMetric());
        _open(terms);
        FrameProof memory proof = _final(2, 99, _runs(_run(1, 2 * HOUR_MS)));
        bytes memory call = abi.encodeCall(IGatewayRegistry.calibrationAt, (gatewayId, 1, SENT_MS));
        bytes memory reason = abi.encodeWithSelector(ILegEvidence.CalibrationNotRead.selector, 1);
        vm.mockCallRevert(address(gateways), call, "");
        vm.expectRevert(reason);
        escrow.settle(terms, 0, proof);
        vm.mockCallRevert(
            address(gateways),
            call,
            abi.encodeWithSelector(IGatewayRegistry.GatewayUnknown.selector, gatewayId)
        );
        vm.expectRevert(reason);
        escrow.settle(terms, 0, proof);
    }

    // ---- Help

    /// @dev Above for 2 h, gap 10 minutes; all of the time unknown, uncovered or one gap only if nothing counts.
    function _everyMetric() private pure returns (Tier[] memory tiers) {
        uint128 almost = SENT_MS - BEGIN_MS - 1;
        tiers = new Tier[](7);
        tiers[0] = _tier(1, 1, HOUR_MS, 1);
        tiers[1] = _tier(1, 5, type(uint64).max, 2);
        tiers[2] = _tier(1, 6, 1, 4);
        tiers[3] = _tier(1, 6, almost, 8);
        tiers[4] = _tier(1, 7, almost, 16);
        tiers[5] = _tier(1, 10, 8000 + OFFSET, 32);
        tiers[6] = _tier(1, 12, almost, 64);
    }

    function _asking(Tier[] memory tiers) private view returns (Terms memory terms) {
        terms = _terms(tiers);
        terms.uncertaintyMaxMilli = MAX_MILLI;
    }

    function _calibrate(uint64 fromMs, uint64 untilMs, uint32 uncertaintyMilli) private {
        vm.prank(admin);
        gateways.calibrate(gatewayId, 1, "certificate", fromMs, untilMs, uncertaintyMilli);
    }

    function _expectReached(Tier[] memory tiers, uint256 reached) private {
        _expectReached(_asking(tiers), reached);
    }

    function _expectReached(Terms memory terms, uint256 reached) private {
        bytes32 id = _open(terms);
        FrameProof memory proof = _final(2, 99, _runs(_run(1, 2 * HOUR_MS)));
        uint256 due = 0;
        for (uint256 i = 0; i < terms.tiers.length; ++i) {
            if (reached >> i & 1 == 1) due += terms.tiers[i].amount;
        }
        vm.expectEmit(address(escrow));
        emit IPenaltyEscrow.Concluded(id, LEG, due, BOND - due, reached);
        escrow.settle(terms, 0, proof);
    }
}

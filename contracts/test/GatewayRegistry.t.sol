// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {GatewayRegistry} from "../src/GatewayRegistry.sol";
import {IGatewayRegistry} from "../src/interfaces/IGatewayRegistry.sol";
import {Base} from "./Base.sol";

/// @notice A key speaks for one tenant, in its time, until it is revoked; only who may changes that.
contract GatewayRegistryTest is Base {
    uint64 private constant NOW_MS = 1_767_225_600_000;
    uint64 private constant NO_END = type(uint64).max;
    bytes32 private constant TENANT = keccak256("tenant");
    bytes32 private constant OTHER = keccak256("other tenant");

    address private registrar = actor("registrar");
    address private admin = actor("admin");
    address private stranger = actor("stranger");
    GatewayRegistry private gateways;
    uint256 private x;
    uint256 private y;

    function setUp() public {
        vm.warp(NOW_MS / 1000);
        gateways = new GatewayRegistry(registrar);
        vm.prank(registrar);
        gateways.enrolTenant(TENANT, admin);
        (x, y) = vm.publicKeyP256(1234);
    }

    function testRegisterAndAskAtEventTime() public {
        bytes32 id = _register(1000, 2000);
        assertEq(id, sha256(abi.encodePacked(hex"0801", x, y)), "gateway id");
        (bytes32 tenant, uint256 foundX, uint256 foundY) = gateways.keyAt(id, 1000);
        assertEq(tenant, TENANT, "tenant");
        assertEq(foundX, x, "x");
        assertEq(foundY, y, "y");
        gateways.keyAt(id, 1999);
        vm.expectRevert(
            abi.encodeWithSelector(IGatewayRegistry.GatewayNotValid.selector, id, 999, 1000, 2000)
        );
        gateways.keyAt(id, 999);
        vm.expectRevert(
            abi.encodeWithSelector(IGatewayRegistry.GatewayNotValid.selector, id, 2000, 1000, 2000)
        );
        gateways.keyAt(id, 2000);
        assertEq(gateways.gatewayOf(id).x, x, "entry");
    }

    function testUnknownGateway() public {
        vm.expectRevert(abi.encodeWithSelector(IGatewayRegistry.GatewayUnknown.selector, TENANT));
        gateways.keyAt(TENANT, 0);
        vm.expectRevert(abi.encodeWithSelector(IGatewayRegistry.GatewayUnknown.selector, TENANT));
        gateways.revoke(TENANT, 0);
    }

    function testOnlyTheRegistrarEnrols() public {
        vm.expectRevert(_notAllowed(stranger, registrar));
        vm.prank(stranger);
        gateways.enrolTenant(OTHER, stranger);
        vm.startPrank(registrar);
        vm.expectRevert(abi.encodeWithSelector(IGatewayRegistry.TenantKnown.selector, TENANT));
        gateways.enrolTenant(TENANT, stranger);
        vm.expectRevert(abi.encodeWithSelector(IGatewayRegistry.AdminZero.selector, OTHER));
        gateways.enrolTenant(OTHER, address(0));
    }

    function testDeployedWithARegistrar() public {
        vm.expectRevert(abi.encodeWithSelector(IGatewayRegistry.AdminZero.selector, 0));
        new GatewayRegistry(address(0));
    }

    function testOnlyTheAdminHandsOver() public {
        vm.expectRevert(_notAllowed(registrar, admin));
        vm.prank(registrar);
        gateways.setTenantAdmin(TENANT, registrar);
        vm.startPrank(admin);
        vm.expectRevert(abi.encodeWithSelector(IGatewayRegistry.AdminZero.selector, TENANT));
        gateways.setTenantAdmin(TENANT, address(0));
        gateways.setTenantAdmin(TENANT, stranger);
        assertEq(gateways.adminOf(TENANT), stranger, "admin");
        vm.expectRevert(_notAllowed(admin, stranger));
        gateways.register(1, x, y, TENANT, 0, NO_END);
    }

    function testRegisterRefusals() public {
        vm.expectRevert(abi.encodeWithSelector(IGatewayRegistry.TenantUnknown.selector, OTHER));
        gateways.register(1, x, y, OTHER, 0, NO_END);
        vm.expectRevert(_notAllowed(address(this), admin));
        gateways.register(1, x, y, TENANT, 0, NO_END);
        vm.startPrank(admin);
        vm.expectRevert(abi.encodeWithSelector(IGatewayRegistry.AlgorithmUnknown.selector, 2));
        gateways.register(2, x, y, TENANT, 0, NO_END);
        vm.expectRevert(abi.encodeWithSelector(IGatewayRegistry.AlgorithmUnknown.selector, 0));
        gateways.register(0, x, y, TENANT, 0, NO_END);
        vm.expectRevert(abi.encodeWithSelector(IGatewayRegistry.PointNotOnCurve.selector, x, y + 1));
        gateways.register(1, x, y + 1, TENANT, 0, NO_END);
        vm.expectRevert(abi.encodeWithSelector(IGatewayRegistry.PointNotOnCurve.selector, 0, 0));
        gateways.register(1, 0, 0, TENANT, 0, NO_END);
        vm.expectRevert(abi.encodeWithSelector(IGatewayRegistry.PeriodEmpty.selector, 5, 5));
        gateways.register(1, x, y, TENANT, 5, 5);
    }

    /// @notice Coordinates are one encoding: x + p names the same point and is refused.
    function testCoordinateNotReduced() public {
        uint256 p = 0xffffffff00000001000000000000000000000000ffffffffffffffffffffffff;
        vm.expectRevert(abi.encodeWithSelector(IGatewayRegistry.PointNotOnCurve.selector, p, y));
        vm.prank(admin);
        gateways.register(1, p, y, TENANT, 0, NO_END);
    }

    function testAKeyBelongsToOneTenant() public {
        bytes32 id = _register(0, NO_END);
        vm.prank(registrar);
        gateways.enrolTenant(OTHER, stranger);
        vm.expectRevert(abi.encodeWithSelector(IGatewayRegistry.GatewayKnown.selector, id));
        vm.prank(stranger);
        gateways.register(1, x, y, OTHER, 0, NO_END);
    }

    /// @notice Frames from before the revocation stay good, those from then on do not.
    function testRevoke() public {
        bytes32 id = _register(0, NO_END);
        vm.expectRevert(_notAllowed(stranger, admin));
        vm.prank(stranger);
        gateways.revoke(id, NOW_MS);
        vm.prank(admin);
        gateways.revoke(id, NOW_MS);
        gateways.keyAt(id, NOW_MS - 1);
        vm.expectRevert(
            abi.encodeWithSelector(IGatewayRegistry.GatewayNotValid.selector, id, NOW_MS, 0, NOW_MS)
        );
        gateways.keyAt(id, NOW_MS);
    }

    function testRevocationOnlyBringsTheEndForward() public {
        bytes32 id = _register(0, NOW_MS + 10);
        vm.startPrank(admin);
        vm.expectRevert(
            abi.encodeWithSelector(IGatewayRegistry.RevocationLater.selector, NOW_MS + 10, NOW_MS + 10)
        );
        gateways.revoke(id, NOW_MS + 10);
        gateways.revoke(id, NOW_MS);
        vm.expectRevert(abi.encodeWithSelector(IGatewayRegistry.RevocationLater.selector, NOW_MS + 1, NOW_MS));
        gateways.revoke(id, NOW_MS + 1);
    }

    function testRevocationReachesBackAWeekAtMost() public {
        bytes32 id = _register(0, NO_END);
        uint64 earliest = NOW_MS - gateways.REVOKE_BACK_MS_MAX();
        vm.startPrank(admin);
        vm.expectRevert(
            abi.encodeWithSelector(IGatewayRegistry.RevocationTooEarly.selector, earliest - 1, earliest)
        );
        gateways.revoke(id, earliest - 1);
        gateways.revoke(id, earliest);
    }

    function testCalibration() public {
        bytes32 id = _register(0, NO_END);
        vm.startPrank(admin);
        gateways.calibrate(id, 3, "first", 1000, 5000, 200);
        gateways.calibrate(id, 3, "second", 3000, 4000, 100);
        vm.expectRevert(abi.encodeWithSelector(IGatewayRegistry.CalibrationNotNewer.selector, 3000, 3000));
        gateways.calibrate(id, 3, "again", 3000, 9000, 100);
        vm.expectRevert(abi.encodeWithSelector(IGatewayRegistry.PeriodEmpty.selector, 6000, 6000));
        gateways.calibrate(id, 3, "empty", 6000, 6000, 100);
        vm.stopPrank();
        vm.expectRevert(_notAllowed(address(this), admin));
        gateways.calibrate(id, 3, "foreign", 6000, 7000, 100);
        assertEq(gateways.calibrationAt(id, 3, 1000).certificate, "first", "at its begin");
        assertEq(gateways.calibrationAt(id, 3, 2999).certificate, "first", "before the next");
        assertEq(gateways.calibrationAt(id, 3, 3000).certificate, "second", "the newer one");
        assertEq(gateways.calibrationAt(id, 3, 3999).uncertaintyMilli, 100, "uncertainty");
        _noCalibration(id, 3, 999);
        _noCalibration(id, 3, 4000);
        _noCalibration(id, 4, 3000);
    }

    function _noCalibration(bytes32 id, uint16 channel, uint64 eventMs) private {
        vm.expectRevert(
            abi.encodeWithSelector(IGatewayRegistry.CalibrationUnknown.selector, id, channel, eventMs)
        );
        gateways.calibrationAt(id, channel, eventMs);
    }

    function _register(uint64 fromMs, uint64 untilMs) private returns (bytes32) {
        vm.prank(admin);
        return gateways.register(1, x, y, TENANT, fromMs, untilMs);
    }

    function _notAllowed(address caller, address wanted) private pure returns (bytes memory) {
        return abi.encodeWithSelector(IGatewayRegistry.CallerNotAllowed.selector, caller, wanted);
    }
}

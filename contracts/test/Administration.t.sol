// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {AccessManager} from "@openzeppelin/contracts/access/manager/AccessManager.sol";
import {IAccessManager} from "@openzeppelin/contracts/access/manager/IAccessManager.sol";

import {AnchorRegistry} from "../src/AnchorRegistry.sol";
import {CreditVault} from "../src/CreditVault.sol";
import {GatewayRegistry} from "../src/GatewayRegistry.sol";
import {IAnchorRegistry} from "../src/interfaces/IAnchorRegistry.sol";
import {ICreditVault} from "../src/interfaces/ICreditVault.sol";
import {Base} from "./Base.sol";

/// @notice Attacks on the administration: an OpenZeppelin AccessManager is steward, registrar and guardian of the
/// immutable contracts. Roles and delays are those of anchoring/administration.py, which sets them up.
contract AdministrationTest is Base {
    uint64 private constant ADMIN = 0;
    uint64 private constant STEWARD = 1;
    uint64 private constant REGISTRAR = 2;
    uint64 private constant GUARDIAN = 3;
    uint64 private constant KEEPER = 4;
    uint32 private constant WINDOW_S = 3 days;
    uint256 private constant START_S = 1_700_000_000;
    address private immutable _deployer = actor("deployer");
    address private immutable _admin = actor("admin");
    address private immutable _guardian = actor("guardian");
    address private immutable _thief = actor("thief");
    address private constant TOKEN = address(0xBEEF);

    AccessManager private _manager;
    GatewayRegistry private _gateways;
    AnchorRegistry private _anchors;
    CreditVault private _vault;

    function setUp() public {
        vm.warp(START_S);
        vm.startPrank(_deployer);
        _manager = new AccessManager(_deployer);
        _gateways = new GatewayRegistry(address(_manager));
        _anchors = new AnchorRegistry(actor("anchorer"), address(_manager), WINDOW_S);
        _vault = new CreditVault(address(_manager));
        _role(STEWARD, address(_vault), CreditVault.allowToken.selector);
        _role(STEWARD, address(_vault), CreditVault.admit.selector);
        _role(REGISTRAR, address(_gateways), GatewayRegistry.enrolTenant.selector);
        _role(GUARDIAN, address(_anchors), AnchorRegistry.contest.selector);
        _role(KEEPER, address(_anchors), AnchorRegistry.endContest.selector);
        _role(KEEPER, address(_anchors), AnchorRegistry.setAnchorer.selector);
        _manager.setRoleGuardian(STEWARD, GUARDIAN);
        _manager.setRoleGuardian(REGISTRAR, GUARDIAN);
        _manager.setRoleGuardian(KEEPER, GUARDIAN);
        _manager.grantRole(STEWARD, _admin, 7 days);
        _manager.grantRole(REGISTRAR, _admin, 2 days);
        _manager.grantRole(GUARDIAN, _guardian, 0);
        _manager.grantRole(KEEPER, _admin, 1 days);
        _manager.grantRole(ADMIN, _admin, 7 days);
        _manager.renounceRole(ADMIN, _deployer);
        vm.stopPrank();
    }

    function testSkippingDelay() public {
        bytes memory call = abi.encodeCall(CreditVault.allowToken, (TOKEN, true));
        bytes32 id = _manager.hashOperation(_admin, address(_vault), call);
        vm.prank(_admin);
        vm.expectRevert(
            abi.encodeWithSelector(ICreditVault.CallerNotAllowed.selector, _admin, address(_manager))
        );
        _vault.allowToken(TOKEN, true);
        vm.prank(_admin);
        vm.expectRevert(abi.encodeWithSelector(IAccessManager.AccessManagerNotScheduled.selector, id));
        _manager.execute(address(_vault), call);
        vm.prank(_admin);
        vm.expectPartialRevert(IAccessManager.AccessManagerUnauthorizedCall.selector);
        _manager.schedule(address(_vault), call, uint48(START_S + 7 days - 1));
        vm.prank(_admin);
        _manager.schedule(address(_vault), call, 0);
        vm.warp(START_S + 7 days - 1);
        vm.prank(_admin);
        vm.expectRevert(abi.encodeWithSelector(IAccessManager.AccessManagerNotReady.selector, id));
        _manager.execute(address(_vault), call);
        vm.warp(START_S + 7 days);
        vm.prank(_admin);
        _manager.execute(address(_vault), call);
        assertTrue(_vault.isAllowed(TOKEN), "after the delay it goes");
        vm.prank(_admin);
        vm.expectRevert(abi.encodeWithSelector(IAccessManager.AccessManagerNotScheduled.selector, id));
        _manager.execute(address(_vault), call);
    }

    /// @dev The manager takes a member without delay; but making one needs the admin's seven days, in sight of all.
    function testRoleWithZeroDelayByMistake() public {
        bytes memory call = abi.encodeCall(AccessManager.grantRole, (STEWARD, _thief, 0));
        vm.prank(_admin);
        vm.expectPartialRevert(IAccessManager.AccessManagerNotScheduled.selector);
        _manager.grantRole(STEWARD, _thief, 0);
        vm.prank(_admin);
        _manager.schedule(address(_manager), call, 0);
        vm.warp(START_S + 7 days - 1);
        vm.prank(_admin);
        vm.expectPartialRevert(IAccessManager.AccessManagerNotReady.selector);
        _manager.grantRole(STEWARD, _thief, 0);
        vm.prank(_thief);
        vm.expectPartialRevert(IAccessManager.AccessManagerUnauthorizedCall.selector);
        _manager.execute(address(_vault), abi.encodeCall(CreditVault.allowToken, (TOKEN, true)));
    }

    function testGuardianCannotUnlock() public {
        IAnchorRegistry.Anchor memory anchored = _anchor();
        vm.prank(_guardian);
        _manager.execute(address(_anchors), abi.encodeCall(AnchorRegistry.contest, (1, anchored, "lost key")));
        assertEq(uint256(_anchors.stateOf(1, anchored)), uint256(IAnchorRegistry.State.Contested), "locked");
        _refused(
            _guardian, address(_anchors), abi.encodeCall(AnchorRegistry.endContest, (1, anchored, false))
        );
        _refused(_guardian, address(_anchors), abi.encodeCall(AnchorRegistry.endContest, (1, anchored, true)));
        _refused(_guardian, address(_anchors), abi.encodeCall(AnchorRegistry.setAnchorer, (_guardian)));
        vm.prank(_guardian);
        vm.expectPartialRevert(IAccessManager.AccessManagerUnauthorizedAccount.selector);
        _manager.setTargetClosed(address(_vault), false);
    }

    /// @dev The keeper's day is shorter than a contest: a void interval is announced, and the guardian may stop it.
    function testKeeperEndsContestWithinItsWindow() public {
        IAnchorRegistry.Anchor memory anchored = _anchor();
        vm.prank(_guardian);
        _manager.execute(address(_anchors), abi.encodeCall(AnchorRegistry.contest, (1, anchored, "?")));
        bytes memory call = abi.encodeCall(AnchorRegistry.endContest, (1, anchored, true));
        vm.prank(_admin);
        _manager.schedule(address(_anchors), call, 0);
        vm.warp(START_S + 1 days);
        vm.prank(_admin);
        _manager.execute(address(_anchors), call);
        assertEq(uint256(_anchors.stateOf(1, anchored)), uint256(IAnchorRegistry.State.Void), "void");
    }

    function testGuardianCancelsScheduled() public {
        bytes memory call = abi.encodeCall(CreditVault.admit, (_thief, TOKEN, uint96(1), uint32(1)));
        vm.prank(_admin);
        _manager.schedule(address(_vault), call, 0);
        vm.prank(_thief);
        vm.expectPartialRevert(IAccessManager.AccessManagerUnauthorizedCancel.selector);
        _manager.cancel(_admin, address(_vault), call);
        vm.prank(_guardian);
        _manager.cancel(_admin, address(_vault), call);
        vm.warp(START_S + 7 days);
        vm.prank(_admin);
        vm.expectPartialRevert(IAccessManager.AccessManagerNotScheduled.selector);
        _manager.execute(address(_vault), call);
    }

    /// @dev An operation that nobody executes for a week after its time is void: no old surprise.
    function testScheduledExpires() public {
        bytes memory call = abi.encodeCall(GatewayRegistry.enrolTenant, (bytes32("t"), _thief));
        vm.prank(_admin);
        _manager.schedule(address(_gateways), call, 0);
        vm.warp(START_S + 2 days + 1 weeks);
        vm.prank(_admin);
        vm.expectPartialRevert(IAccessManager.AccessManagerExpired.selector);
        _manager.execute(address(_gateways), call);
    }

    /// @dev What the deployment must not do: nobody is left who could ever change a role, or act by one not granted.
    function testAdminRenouncedTooEarly() public {
        vm.startPrank(_deployer);
        AccessManager alone = new AccessManager(_deployer);
        CreditVault vault = new CreditVault(address(alone));
        alone.renounceRole(ADMIN, _deployer);
        vm.expectPartialRevert(IAccessManager.AccessManagerUnauthorizedAccount.selector);
        alone.grantRole(ADMIN, _admin, 7 days);
        vm.expectPartialRevert(IAccessManager.AccessManagerUnauthorizedCall.selector);
        alone.execute(address(vault), abi.encodeCall(CreditVault.allowToken, (TOKEN, true)));
        vm.stopPrank();
    }

    /// @dev The contracts know no setAuthority: not even the admin, after its delay, moves them to another manager.
    function testSetAuthorityHijack() public {
        vm.prank(_thief);
        vm.expectPartialRevert(IAccessManager.AccessManagerUnauthorizedAccount.selector);
        _manager.updateAuthority(address(_vault), _thief);
        bytes memory call = abi.encodeCall(AccessManager.updateAuthority, (address(_vault), _admin));
        vm.prank(_admin);
        _manager.schedule(address(_manager), call, 0);
        vm.warp(START_S + 7 days);
        vm.prank(_admin);
        vm.expectRevert(bytes(""));
        _manager.updateAuthority(address(_vault), _admin);
        assertEq(_vault.steward(), address(_manager), "as built");
    }

    function testDeployerHasNothingLeft() public {
        for (uint64 role = ADMIN; role <= KEEPER; ++role) {
            (bool isMember,) = _manager.hasRole(role, _deployer);
            assertTrue(!isMember, "no role");
        }
        _refused(_deployer, address(_vault), abi.encodeCall(CreditVault.allowToken, (TOKEN, true)));
        _refused(_deployer, address(_gateways), abi.encodeCall(GatewayRegistry.enrolTenant, (0, _deployer)));
        _refused(_deployer, address(_anchors), abi.encodeCall(AnchorRegistry.setAnchorer, (_deployer)));
        vm.prank(_deployer);
        vm.expectPartialRevert(IAccessManager.AccessManagerUnauthorizedAccount.selector);
        _manager.grantRole(ADMIN, _deployer, 0);
    }

    function _refused(address caller, address target, bytes memory call) private {
        vm.prank(caller);
        vm.expectPartialRevert(IAccessManager.AccessManagerUnauthorizedCall.selector);
        _manager.execute(target, call);
        vm.prank(caller);
        vm.expectPartialRevert(IAccessManager.AccessManagerUnauthorizedCall.selector);
        _manager.schedule(target, call, 0);
    }

    function _role(uint64 role, address target, bytes4 selector) private {
        bytes4[] memory selectors = new bytes4[](1);
        selectors[0] = selector;
        _manager.setTargetFunctionRole(target, selectors, role);
    }

    function _anchor() private returns (IAnchorRegistry.Anchor memory) {
        vm.prank(actor("anchorer"));
        _anchors.anchor(1, bytes32("root"), 1);
        return IAnchorRegistry.Anchor(bytes32("root"), 1, uint64(block.timestamp));
    }
}

// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {CreditVault} from "../src/CreditVault.sol";
import {MockToken} from "../src/MockToken.sol";
import {ICreditVault} from "../src/interfaces/ICreditVault.sol";
import {Base} from "./Base.sol";
import {BlockingToken, CallingToken, FalseToken, FeeToken, SilentToken} from "./Tokens.sol";

/// @notice Money goes in by its owner, moves only by the product it was deposited for, and can always leave.
contract CreditVaultTest is Base {
    uint96 private constant OUTFLOW_MAX = 1000;
    uint32 private constant PERIOD_S = 100;

    address private steward = actor("steward");
    address private product = actor("product");
    address private owner = actor("owner");
    address private payee = actor("payee");
    CreditVault private vault;
    MockToken private token;

    function setUp() public {
        vm.warp(1_000_000);
        vault = new CreditVault(steward);
        token = new MockToken();
        _admit(address(token));
    }

    function testDepositLockCreditWithdraw() public {
        _deposit(address(token), 500);
        vm.startPrank(product);
        vault.lock(address(token), owner, 400);
        vault.credit(address(token), owner, payee, 300);
        vault.release(address(token), owner, 100);
        vm.stopPrank();
        _expectDeposit(200, 0);
        vm.prank(payee);
        vault.withdraw(address(token), 300, actor("elsewhere"));
        assertEq(token.balanceOf(actor("elsewhere")), 300, "paid");
        vm.prank(owner);
        vault.reclaim(product, address(token), 200, owner);
        assertEq(token.balanceOf(owner), 200, "reclaimed");
        assertEq(token.balanceOf(address(vault)), 0, "empty");
    }

    function testCreditsBackTheNextLeg() public {
        _credit(300);
        vm.startPrank(payee);
        vault.depositCredit(product, address(token), 300);
        assertEq(vault.creditOf(address(token), payee), 0, "credits");
        assertEq(vault.depositOf(product, address(token), payee).free, 300, "deposit");
    }

    function testOnlyTheStewardAllowsAndAdmits() public {
        vm.expectRevert(_notAllowed(product));
        vm.prank(product);
        vault.allowToken(address(token), false);
        vm.expectRevert(_notAllowed(product));
        vm.prank(product);
        vault.admit(product, address(token), 1, 1);
        vm.expectRevert(abi.encodeWithSelector(ICreditVault.AddressZero.selector));
        new CreditVault(address(0));
    }

    function testAdmitRefusals() public {
        vm.startPrank(steward);
        vm.expectRevert(abi.encodeWithSelector(ICreditVault.AddressZero.selector));
        vault.allowToken(address(0), true);
        vm.expectRevert(abi.encodeWithSelector(ICreditVault.AddressZero.selector));
        vault.admit(address(0), address(token), 1, 1);
        vm.expectRevert(abi.encodeWithSelector(ICreditVault.AddressZero.selector));
        vault.admit(product, address(0), 1, 1);
        vm.expectRevert(abi.encodeWithSelector(ICreditVault.ProductKnown.selector, product, address(token)));
        vault.admit(product, address(token), 1, 1);
        _badOutflow(0, 1);
        _badOutflow(1, 0);
        _badOutflow(365 days + 1, 365 days + 1);
    }

    /// @notice A limit that recovers by less than a unit a second would not recover at all while small payments go on.
    function testOutflowThatWouldNeverRecover() public {
        vm.startPrank(steward);
        _badOutflow(1 days - 1, 1 days);
        vault.admit(payee, address(token), 1 days, 1 days);
        vm.stopPrank();
    }

    function testDepositRefusals() public {
        vm.startPrank(owner);
        vm.expectRevert(abi.encodeWithSelector(ICreditVault.TokenNotAllowed.selector, address(vault)));
        vault.deposit(product, address(vault), 1);
        vm.expectRevert(abi.encodeWithSelector(ICreditVault.AmountZero.selector));
        vault.deposit(product, address(token), 0);
        vm.expectRevert(abi.encodeWithSelector(ICreditVault.ProductUnknown.selector, payee, address(token)));
        vault.deposit(payee, address(token), 1);
        vm.expectRevert(
            abi.encodeWithSelector(ICreditVault.CreditTooSmall.selector, address(token), owner, 1, 0)
        );
        vault.depositCredit(product, address(token), 1);
    }

    /// @notice A token that is no longer allowed takes no deposits; what is inside leaves as before.
    function testForbiddenTokenStillLeaves() public {
        _deposit(address(token), 500);
        vm.prank(product);
        vault.lock(address(token), owner, 300);
        vm.prank(steward);
        vault.allowToken(address(token), false);
        vm.prank(product);
        vault.credit(address(token), owner, payee, 300);
        vm.prank(payee);
        vault.withdraw(address(token), 300, payee);
        vm.prank(owner);
        vault.reclaim(product, address(token), 200, owner);
        assertEq(token.balanceOf(payee), 300, "paid");
    }

    /// @notice Neither another product nor the steward reaches a deposit.
    function testOnlyItsProductMovesADeposit() public {
        _deposit(address(token), 500);
        address other = actor("other product");
        vm.prank(steward);
        vault.admit(other, address(token), OUTFLOW_MAX, PERIOD_S);
        vm.startPrank(other);
        vm.expectRevert(_depositTooSmall(other, 1, 0));
        vault.lock(address(token), owner, 1);
        vm.expectRevert(_lockTooSmall(other, 1, 0));
        vault.credit(address(token), owner, other, 1);
        vm.stopPrank();
        vm.startPrank(steward);
        vm.expectRevert(abi.encodeWithSelector(ICreditVault.ProductUnknown.selector, steward, address(token)));
        vault.lock(address(token), owner, 1);
        vm.expectRevert(_lockTooSmall(steward, 1, 0));
        vault.release(address(token), owner, 1);
    }

    function testLockedIsNotReclaimed() public {
        _deposit(address(token), 500);
        vm.prank(product);
        vault.lock(address(token), owner, 400);
        vm.expectRevert(_depositTooSmall(product, 101, 100));
        vm.prank(owner);
        vault.reclaim(product, address(token), 101, owner);
        vm.startPrank(product);
        vm.expectRevert(_depositTooSmall(product, 101, 100));
        vault.lock(address(token), owner, 101);
        vm.expectRevert(_lockTooSmall(product, 401, 400));
        vault.credit(address(token), owner, payee, 401);
        vm.expectRevert(_lockTooSmall(product, 401, 400));
        vault.release(address(token), owner, 401);
    }

    function testZeroAmountsAndAddresses() public {
        _credit(300);
        vm.startPrank(product);
        vm.expectRevert(abi.encodeWithSelector(ICreditVault.AmountZero.selector));
        vault.lock(address(token), owner, 0);
        vm.expectRevert(abi.encodeWithSelector(ICreditVault.AmountZero.selector));
        vault.release(address(token), owner, 0);
        vm.expectRevert(abi.encodeWithSelector(ICreditVault.AmountZero.selector));
        vault.credit(address(token), owner, payee, 0);
        vm.expectRevert(abi.encodeWithSelector(ICreditVault.AddressZero.selector));
        vault.credit(address(token), owner, address(0), 1);
        vm.stopPrank();
        vm.startPrank(payee);
        vm.expectRevert(abi.encodeWithSelector(ICreditVault.AddressZero.selector));
        vault.withdraw(address(token), 1, address(0));
        vm.expectRevert(abi.encodeWithSelector(ICreditVault.AddressZero.selector));
        vault.reclaim(product, address(token), 1, address(0));
        vm.expectRevert(abi.encodeWithSelector(ICreditVault.AmountZero.selector));
        vault.withdraw(address(token), 0, payee);
        vm.expectRevert(
            abi.encodeWithSelector(ICreditVault.CreditTooSmall.selector, address(token), payee, 301, 300)
        );
        vault.withdraw(address(token), 301, payee);
    }

    /// @notice Never more than the limit at once; it recovers evenly; what cannot be let out cannot be locked.
    function testOutflowLimit() public {
        _deposit(address(token), 3000);
        vm.startPrank(product);
        vm.expectRevert(abi.encodeWithSelector(ICreditVault.LockAboveOutflow.selector, 1001, 1000));
        vault.lock(address(token), owner, 1001);
        vault.lock(address(token), owner, 1000);
        vault.lock(address(token), owner, 1000);
        vault.credit(address(token), owner, payee, 900);
        vm.expectRevert(abi.encodeWithSelector(ICreditVault.OutflowExceeded.selector, 101, 100));
        vault.credit(address(token), owner, payee, 101);
        vm.warp(block.timestamp + 10);
        assertEq(vault.outflowAvailable(product, address(token)), 200, "a tenth recovered");
        vault.credit(address(token), owner, payee, 200);
        vault.release(address(token), owner, 100);
        vm.warp(block.timestamp + PERIOD_S);
        assertEq(vault.outflowAvailable(product, address(token)), 1000, "all recovered");
        assertEq(vault.outflowOf(product, address(token)).spent, 1000, "recorded");
    }

    function testFuzz_OutflowOfAPeriodIsAtMostTwiceTheLimit(uint96[8] memory amounts, uint32[8] memory waits)
        public
    {
        vm.prank(steward);
        vault.admit(payee, address(token), OUTFLOW_MAX, PERIOD_S);
        token.mint(owner, 1e6);
        vm.startPrank(owner);
        token.approve(address(vault), 1e6);
        vault.deposit(payee, address(token), 1e6);
        vm.stopPrank();
        vm.startPrank(payee);
        for (uint256 i = 0; i < 100; ++i) {
            vault.lock(address(token), owner, 1000);
        }
        uint256 endS = block.timestamp + PERIOD_S;
        for (uint256 i = 0; i < 8; ++i) {
            uint256 wait = bound(waits[i], 0, PERIOD_S / 4);
            if (block.timestamp + wait >= endS) break;
            vm.warp(block.timestamp + wait);
            try vault.credit(address(token), owner, owner, bound(amounts[i], 1, 1000)) {} catch {}
        }
        assertLe(vault.creditOf(address(token), owner), 2 * uint256(OUTFLOW_MAX), "burst and one refill");
    }

    function testFeeOnTransferIsRefused() public {
        FeeToken fee = new FeeToken();
        _admit(address(fee));
        fee.mint(owner, 500);
        vm.startPrank(owner);
        fee.approve(address(vault), 500);
        vm.expectRevert(abi.encodeWithSelector(ICreditVault.AmountReceived.selector, 495, 500));
        vault.deposit(product, address(fee), 500);
    }

    function testFalseIsARefusal() public {
        FalseToken falsy = new FalseToken();
        _admit(address(falsy));
        vm.expectRevert(abi.encodeWithSelector(SafeERC20.SafeERC20FailedOperation.selector, address(falsy)));
        vm.prank(owner);
        vault.deposit(product, address(falsy), 500);
    }

    function testTokenWithoutReturnValues() public {
        SilentToken silent = new SilentToken();
        _admit(address(silent));
        silent.mint(owner, 500);
        vm.startPrank(owner);
        silent.approve(address(vault), 500);
        vault.deposit(product, address(silent), 500);
        vault.reclaim(product, address(silent), 500, payee);
        assertEq(silent.balanceOf(payee), 500, "paid");
    }

    /// @notice A blocked payee takes its credits elsewhere, and hinders nobody else.
    function testBlockedPayee() public {
        BlockingToken blocking = new BlockingToken();
        _admit(address(blocking));
        _deposit(address(blocking), 500);
        vm.startPrank(product);
        vault.lock(address(blocking), owner, 400);
        blocking.setBlocked(payee, true);
        vault.credit(address(blocking), owner, payee, 400);
        vm.stopPrank();
        vm.startPrank(payee);
        vm.expectRevert(abi.encodeWithSelector(BlockingToken.Blocked.selector, payee));
        vault.withdraw(address(blocking), 400, payee);
        vault.withdraw(address(blocking), 400, actor("elsewhere"));
        vm.stopPrank();
        vm.prank(owner);
        vault.reclaim(product, address(blocking), 100, owner);
    }

    /// @notice Called back in the middle of a transfer, every door is shut.
    function testReentrancy() public {
        CallingToken calling = new CallingToken();
        _admit(address(calling));
        _deposit(address(calling), 500);
        bytes[5] memory calls = [
            abi.encodeCall(vault.withdraw, (address(calling), 1, payee)),
            abi.encodeCall(vault.deposit, (product, address(calling), 1)),
            abi.encodeCall(vault.depositCredit, (product, address(calling), 1)),
            abi.encodeCall(vault.reclaim, (product, address(calling), 1, payee)),
            abi.encodeCall(vault.lock, (address(calling), owner, 1))
        ];
        for (uint256 i = 0; i < calls.length; ++i) {
            calling.setCall(address(vault), calls[i]);
            vm.prank(owner);
            vault.reclaim(product, address(calling), 10, owner);
            assertTrue(!calling.isCallGood(), "called back");
            assertEq(
                bytes4(calling.answer()),
                ReentrancyGuardTransient.ReentrancyGuardReentrantCall.selector,
                "by name"
            );
        }
        _expectDepositOf(address(calling), 450, 0);
    }

    function _admit(address token_) private {
        vm.startPrank(steward);
        vault.allowToken(token_, true);
        vault.admit(product, token_, OUTFLOW_MAX, PERIOD_S);
        vm.stopPrank();
    }

    function _deposit(address token_, uint256 amount) private {
        MockToken(token_).mint(owner, amount);
        vm.startPrank(owner);
        MockToken(token_).approve(address(vault), amount);
        vault.deposit(product, token_, amount);
        vm.stopPrank();
    }

    function _credit(uint256 amount) private {
        _deposit(address(token), amount);
        vm.startPrank(product);
        vault.lock(address(token), owner, amount);
        vault.credit(address(token), owner, payee, amount);
        vm.stopPrank();
    }

    function _badOutflow(uint96 outflowMax, uint32 periodS) private {
        vm.expectRevert(abi.encodeWithSelector(ICreditVault.OutflowOutOfBounds.selector, outflowMax, periodS));
        vault.admit(payee, address(token), outflowMax, periodS);
    }

    function _expectDeposit(uint256 free, uint256 locked) private view {
        _expectDepositOf(address(token), free, locked);
    }

    function _expectDepositOf(address token_, uint256 free, uint256 locked) private view {
        ICreditVault.Deposit memory found = vault.depositOf(product, token_, owner);
        assertEq(found.free, free, "free");
        assertEq(found.locked, locked, "locked");
    }

    function _notAllowed(address caller) private view returns (bytes memory) {
        return abi.encodeWithSelector(ICreditVault.CallerNotAllowed.selector, caller, steward);
    }

    function _depositTooSmall(address of_, uint256 wanted, uint256 found)
        private
        view
        returns (bytes memory)
    {
        return abi.encodeWithSelector(
            ICreditVault.DepositTooSmall.selector, of_, address(token), owner, wanted, found
        );
    }

    function _lockTooSmall(address of_, uint256 wanted, uint256 found) private view returns (bytes memory) {
        return
            abi.encodeWithSelector(
                ICreditVault.LockTooSmall.selector, of_, address(token), owner, wanted, found
            );
    }
}

// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {MockToken} from "../src/MockToken.sol";
import {FrameProof, Terms} from "../src/Settlement.sol";
import {LegFixture} from "./LegFixture.sol";
import {CallingToken, RebasingToken, TurningToken} from "./Tokens.sol";

/// @notice What strange tokens, and calls out of them, could do to the vault and through the products on it.
contract TokenAttacksTest is LegFixture {
    uint256 private constant FUNDS = 5000e6;

    CallingToken private calling;
    uint256 private watchedCount;

    function setUp() public override {
        super.setUp();
        calling = new CallingToken();
        _admit(calling);
    }

    // ---- Reentrancy

    /// @notice In the middle of a deposit every door is shut, also to a token that has credits of its own.
    function testCalledBackInADeposit() public {
        bytes[4] memory calls = [
            abi.encodeCall(vault.withdraw, (address(calling), 1, carrier)),
            abi.encodeCall(vault.deposit, (address(escrow), address(calling), 1)),
            abi.encodeCall(vault.reclaim, (address(escrow), address(calling), 1, carrier)),
            abi.encodeCall(vault.release, (address(calling), carrier, 1))
        ];
        for (uint256 i = 0; i < calls.length; ++i) {
            calling.setCall(address(vault), calls[i]);
            _fund(calling, 100);
            _expectGuarded();
        }
    }

    /// @notice Token to product to vault: a bond is not locked while its deposit leaves, and nothing settles then.
    function testCalledBackThroughTheEscrow() public {
        Terms memory terms = _terms();
        (terms.token, terms.bond, terms.legCap) = (address(calling), 300e6, 300e6);
        _fund(calling, FUNDS);
        bytes32 id = escrow.agreementId(terms);
        bytes memory byCarrier = _sign("carrier", id);
        bytes memory byShipper = _sign("shipper", id);
        calling.setCall(address(escrow), abi.encodeCall(escrow.open, (terms, byCarrier, byShipper)));
        _reclaim(10);
        _expectGuarded();
        calling.setCall(address(0), "");
        escrow.open(terms, byCarrier, byShipper);
        FrameProof memory proof = _closing(2 * HOUR_MS);
        calling.setCall(address(escrow), abi.encodeCall(escrow.settle, (terms, 0, proof)));
        _reclaim(10);
        _expectGuarded();
        calling.setCall(address(0), "");
        escrow.settle(terms, 0, proof);
        assertEq(vault.creditOf(address(calling), shipper), 300e6, "once, afterwards");
    }

    /// @notice Who reads the vault in the middle of a transfer never sees more owed than it holds.
    function testReadOnlyReentrancy() public {
        _fund(calling, FUNDS);
        vm.startPrank(address(escrow));
        vault.lock(address(calling), carrier, 100e6);
        vault.credit(address(calling), carrier, shipper, 60e6);
        vm.stopPrank();
        calling.setCall(address(this), abi.encodeCall(this.watch, ()));
        _fund(calling, 7e6);
        _reclaim(5e6);
        vm.prank(shipper);
        vault.withdraw(address(calling), 30e6, shipper);
        vm.prank(shipper);
        vault.withdraw(address(calling), 30e6, carrier);
        assertEq(watchedCount, 5, "mint, and each transfer, watched and good");
    }

    function watch() external {
        uint256 owed = vault.depositOf(address(escrow), address(calling), carrier).free
            + vault.depositOf(address(escrow), address(calling), carrier).locked
            + vault.creditOf(address(calling), carrier) + vault.creditOf(address(calling), shipper);
        assertLe(owed, calling.balanceOf(address(vault)), "owed");
        ++watchedCount;
    }

    /// @notice The guard is for one call, not for a transaction: acts that follow one another all work.
    function testOneTransactionManyCalls() public {
        _fund(token, 30);
        vm.startPrank(carrier);
        for (uint256 i = 0; i < 3; ++i) {
            vault.reclaim(address(escrow), address(token), 10, carrier);
        }
        vm.stopPrank();
        assertEq(token.balanceOf(carrier), 30, "all");
    }

    // ---- Tokens that are not what they were

    /// @notice A token that says false takes no credit away.
    function testATokenThatTurnsFalse() public {
        TurningToken turning = new TurningToken();
        _admit(turning);
        _creditShipper(turning, 500);
        turning.setFalse(true);
        vm.expectRevert(abi.encodeWithSelector(SafeERC20.SafeERC20FailedOperation.selector, address(turning)));
        vm.prank(shipper);
        vault.withdraw(address(turning), 500, shipper);
        assertEq(vault.creditOf(address(turning), shipper), 500, "kept");
        turning.setFalse(false);
        vm.prank(shipper);
        vault.withdraw(address(turning), 500, shipper);
        assertEq(turning.balanceOf(shipper), 500, "paid");
    }

    /// @notice Balances that grow are nobody's gain; balances that shrink are that token's loss alone.
    function testRebasing() public {
        RebasingToken rebasing = new RebasingToken();
        _admit(rebasing);
        _creditShipper(rebasing, 500);
        _fund(rebasing, 500);
        _fund(token, 500);
        rebasing.rebase(address(vault), 2000);
        vm.startPrank(carrier);
        vm.expectPartialRevert(bytes4(keccak256("DepositTooSmall(address,address,address,uint256,uint256)")));
        vault.reclaim(address(escrow), address(rebasing), 501, carrier);
        rebasing.rebase(address(vault), 500);
        vault.reclaim(address(escrow), address(rebasing), 500, carrier);
        vault.reclaim(address(escrow), address(token), 500, carrier);
        vm.stopPrank();
        vm.expectPartialRevert(bytes4(keccak256("ERC20InsufficientBalance(address,uint256,uint256)")));
        vm.prank(shipper);
        vault.withdraw(address(rebasing), 500, shipper);
        assertEq(vault.creditOf(address(rebasing), shipper), 500, "still owed");
    }

    /// @notice The vault counts smallest units: one unit of a token with 0 decimals is a bond like any other.
    function testOneUnit() public {
        Terms memory terms = _terms();
        (terms.bond, terms.legCap) = (1, 1);
        _open(terms);
        escrow.settle(terms, 0, _closing(2 * HOUR_MS));
        assertEq(_credit(shipper), 1, "all of it");
        assertEq(_free() + _locked(), 0, "no more");
    }

    /// @notice Amounts above 128 bits are refused by name, sums above them too, and hinder nobody else.
    function testHugeSupply() public {
        token.mint(carrier, type(uint256).max - 1);
        uint256 tooMuch = uint256(type(uint128).max) + 1;
        vm.startPrank(carrier);
        token.approve(address(vault), type(uint256).max);
        vm.expectRevert(
            abi.encodeWithSelector(SafeCast.SafeCastOverflowedUintDowncast.selector, 128, tooMuch)
        );
        vault.deposit(address(escrow), address(token), tooMuch);
        vault.deposit(address(escrow), address(token), type(uint128).max);
        vm.expectRevert(abi.encodeWithSignature("Panic(uint256)", 0x11));
        vault.deposit(address(escrow), address(token), 1);
        vault.reclaim(address(escrow), address(token), type(uint128).max, carrier);
        vm.stopPrank();
        assertEq(token.balanceOf(carrier), type(uint256).max - 1, "all back");
    }

    // ---- Help

    function _admit(MockToken token_) private {
        vm.startPrank(steward);
        vault.allowToken(address(token_), true);
        vault.admit(address(escrow), address(token_), 1_000_000e6, 1 days);
        vm.stopPrank();
    }

    function _fund(MockToken token_, uint256 amount) private {
        token_.mint(carrier, amount);
        vm.startPrank(carrier);
        token_.approve(address(vault), amount);
        vault.deposit(address(escrow), address(token_), amount);
        vm.stopPrank();
    }

    function _creditShipper(MockToken token_, uint256 amount) private {
        _fund(token_, amount);
        vm.startPrank(address(escrow));
        vault.lock(address(token_), carrier, amount);
        vault.credit(address(token_), carrier, shipper, amount);
        vm.stopPrank();
    }

    function _reclaim(uint256 amount) private {
        vm.prank(carrier);
        vault.reclaim(address(escrow), address(calling), amount, carrier);
    }

    function _expectGuarded() private view {
        assertTrue(!calling.isCallGood(), "called back");
        bytes4 guarded = ReentrancyGuardTransient.ReentrancyGuardReentrantCall.selector;
        assertEq(bytes4(calling.answer()), guarded, "by name");
    }
}

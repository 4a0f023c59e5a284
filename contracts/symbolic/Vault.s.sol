// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {CreditVault} from "../src/CreditVault.sol";
import {MockToken} from "../src/MockToken.sol";
import {ICreditVault} from "../src/interfaces/ICreditVault.sol";
import {Symbolic} from "./Symbolic.sol";

/// @notice The outflow meter: one limit and period, any payments and waits. (A quotient of two unknowns is beyond the
/// solvers; these numbers do not divide one another.)
contract MeterProof is Symbolic {
    uint96 private constant MAX = 1000e6 + 7;
    uint32 private constant PERIOD_S = 7 days + 11;
    address private constant PAYEE = address(0xbeef);

    CreditVault private vault;
    address private token;

    function setUp() external {
        vm.warp(1_767_225_600);
        vault = new CreditVault(address(this));
        MockToken minted = new MockToken();
        token = address(minted);
        vault.allowToken(token, true);
        vault.admit(address(this), token, MAX, PERIOD_S);
        minted.mint(address(this), 3 * uint256(MAX));
        minted.approve(address(vault), 3 * uint256(MAX));
        vault.deposit(address(this), token, 3 * uint256(MAX));
        for (uint256 i = 0; i < 3; ++i) {
            vault.lock(token, address(this), MAX);
        }
    }

    /// @notice Waiting never makes less available, and a whole period everything.
    function check_WaitingForgives(uint96 amount, uint32 waitS, uint32 moreS) external {
        vm.assume(waitS <= 365 days && moreS <= 365 days);
        vault.credit(token, address(this), PAYEE, amount);
        vm.warp(block.timestamp + waitS);
        uint256 before = vault.outflowAvailable(address(this), token);
        vm.warp(block.timestamp + moreS);
        uint256 found = vault.outflowAvailable(address(this), token);
        assert(found >= before);
        if (uint256(waitS) + moreS >= PERIOD_S) assert(found == MAX);
    }
}

/// @notice The vault's books, from any state that they can be in.
contract VaultProof is Symbolic {
    address private constant TOKEN = address(0x70ce);
    address private constant PAYEE = address(0xbeef);
    address private constant OWNER = address(0xcafe);

    CreditVault private vault;

    function setUp() external {
        vm.warp(1_767_225_600);
        vault = new CreditVault(address(this));
        svm.enableSymbolicStorage(address(vault));
    }

    /// @notice What the vault says is available goes out, and no more.
    function check_AvailableGoesOut(uint128 amount) external {
        _meter();
        vm.assume(amount != 0 && amount <= vault.depositOf(address(this), TOKEN, OWNER).locked);
        vm.assume(vault.creditOf(TOKEN, PAYEE) <= type(uint128).max);
        bool isWithin = amount <= vault.outflowAvailable(address(this), TOKEN);
        try vault.credit(TOKEN, OWNER, PAYEE, amount) {
            assert(isWithin);
        } catch {
            assert(!isWithin);
        }
    }

    /// @notice What leaves a lock is credited, no more and no less; nothing else of it moves.
    function check_CreditMovesTheAmount(uint128 amount) external {
        ICreditVault.Deposit memory before = vault.depositOf(address(this), TOKEN, OWNER);
        uint256 credit = vault.creditOf(TOKEN, PAYEE);
        vault.credit(TOKEN, OWNER, PAYEE, amount);
        ICreditVault.Deposit memory left = vault.depositOf(address(this), TOKEN, OWNER);
        assert(left.free == before.free && uint256(left.locked) + amount == before.locked);
        assert(vault.creditOf(TOKEN, PAYEE) == credit + amount);
    }

    /// @dev The meter in any state that payments leave: within its maximum, not ahead of now.
    function _meter() private view returns (ICreditVault.Outflow memory meter) {
        meter = vault.outflowOf(address(this), TOKEN);
        vm.assume(meter.max != 0 && meter.spent <= meter.max && meter.updatedS <= block.timestamp);
        vm.assume(meter.periodS != 0 && meter.periodS <= vault.PERIOD_S_MAX());
    }
}

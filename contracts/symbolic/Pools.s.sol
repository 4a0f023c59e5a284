// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {CoverPools} from "../src/CoverPools.sol";
import {PoolTerms} from "../src/Insurance.sol";
import {ICoverPools} from "../src/interfaces/ICoverPools.sol";
import {ICreditVault} from "../src/interfaces/ICreditVault.sol";
import {Symbolic} from "./Symbolic.sol";

/// @dev A vault that does whatever is asked: what pools promise of their own books must not need its refusals.
contract WillingVault {
    uint96 private immutable max = type(uint96).max;

    function gather(address, address, bytes32, uint256) external {}

    function credit(address, address, address, uint256) external {}

    function outflowOf(address, address) external view returns (ICreditVault.Outflow memory) {
        return ICreditVault.Outflow(max, 0, 0, 1);
    }
}

/// @notice Rounding of shares favours who stays: of pools as they are after a gain, a loss and next to nothing left, and
/// any amount. (A quotient of two unknowns is beyond the solvers.)
contract SharesProof is Symbolic {
    CoverPools private pools;
    bytes32[3] private ids;

    function setUp() external {
        vm.warp(1_767_225_600);
        pools = new CoverPools(ICreditVault(address(new WillingVault())), 1);
        ids = [_pool(1, 1e9, 7e6 + 1, 0), _pool(2, 1e9 + 1, 13, 333_333_333), _pool(3, 1e9, 0, 999_000_000)];
        vm.warp(block.timestamp + 1);
    }

    /// @notice Who adds gets shares at the price before, rounded down by less than one share.
    function check_AddNeverFavoursWhoAdds(uint96 amount) external {
        for (uint256 i = 0; i < 3; ++i) {
            ICoverPools.Pool memory before = pools.poolOf(ids[i]);
            uint256 shares = pools.add(ids[i], amount, 0);
            (uint256 all, uint256 worth) =
                (before.shares + pools.VIRTUAL_SHARES(), uint256(before.capital) + 1);
            _assertFloor(shares, worth, amount, all);
            ICoverPools.Pool memory found = pools.poolOf(ids[i]);
            assert(
                found.shares == before.shares + shares && found.capital == uint256(before.capital) + amount
            );
        }
    }

    /// @notice Who leaves gets their part of what is not locked, rounded down by less than one unit; locks stay covered.
    function check_RemoveNeverFavoursWhoLeaves(uint96 shares) external {
        for (uint256 i = 0; i < 3; ++i) {
            ICoverPools.Pool memory before = pools.poolOf(ids[i]);
            uint256 amount = pools.remove(ids[i], shares, 0);
            uint256 all = before.shares + pools.VIRTUAL_SHARES();
            uint256 free = before.capital - before.locked;
            _assertFloor(amount, all, shares, free);
            ICoverPools.Pool memory found = pools.poolOf(ids[i]);
            assert(found.capital == before.capital - amount && found.locked == before.locked);
            assert(found.locked <= found.capital && found.shares == before.shares - shares);
        }
    }

    /// @dev That `quotient` is a · b / divisor rounded down: by less than one, and never up. All are below 2^120.
    function _assertFloor(uint256 quotient, uint256 divisor, uint256 a, uint256 b) private pure {
        unchecked {
            assert(quotient * divisor <= a * b);
            assert((quotient + 1) * divisor > a * b);
        }
    }

    /// @dev Capital, a premium earned, a payout made; a third of what is left stays locked, and all may leave.
    function _pool(uint128 salt, uint96 capital, uint96 premium, uint96 payout) private returns (bytes32 id) {
        id = pools.openPool(PoolTerms(address(this), address(1), 1e12, 1e12, 1, 2, 1, salt));
        pools.add(id, capital, 0);
        pools.sell(id, address(this), "tenant", "leg", capital, premium);
        pools.end(id, address(this), capital, premium, payout);
        uint96 locked = uint96(pools.poolOf(id).capital / 3);
        if (locked != 0) pools.sell(id, address(this), "tenant", "another", locked, 0);
        pools.announce(id, pools.holdingOf(id, address(this)).shares);
    }
}

/// @notice A pool's books from any state in which capital covers what is locked.
contract PoolsProof is Symbolic {
    bytes32 private constant POOL = keccak256("pool");

    CoverPools private pools;

    function setUp() external {
        vm.warp(1_767_225_600);
        pools = new CoverPools(ICreditVault(address(new WillingVault())), 1 days);
        svm.enableSymbolicStorage(address(pools));
    }

    /// @notice A sale locks its maximum and premium, and each of the pool's limits holds after it.
    function check_SalesStayWithinLimits(uint96 maximum, uint96 premium) external {
        ICoverPools.Pool memory before = _pool();
        uint256 sold = pools.eventSold(POOL, "tenant", "leg");
        vm.assume(sold <= before.eventMax);
        vm.assume(uint256(before.paid) + before.locked <= before.aggregateMax);
        pools.sell(POOL, address(this), "tenant", "leg", maximum, premium);
        ICoverPools.Pool memory found = pools.poolOf(POOL);
        assert(found.locked == uint256(before.locked) + maximum + premium);
        assert(found.capital == uint256(before.capital) + premium);
        assert(found.locked <= found.capital && found.shares == before.shares);
        assert(uint256(found.paid) + found.locked <= found.aggregateMax);
        assert(pools.eventSold(POOL, "tenant", "leg") == sold + maximum && sold + maximum <= found.eventMax);
    }

    /// @notice A cover that ends takes its payout from capital and its own lock only: others' stay covered.
    function check_AnEndFreesItsLock(uint96 maximum, uint96 premium, uint96 payout) external {
        ICoverPools.Pool memory before = _pool();
        vm.assume(payout <= maximum);
        pools.end(POOL, address(this), maximum, premium, payout);
        ICoverPools.Pool memory found = pools.poolOf(POOL);
        assert(uint256(found.locked) + maximum + premium == before.locked);
        assert(uint256(found.capital) + payout == before.capital && found.locked <= found.capital);
        assert(found.paid == uint256(before.paid) + payout);
    }

    function _pool() private view returns (ICoverPools.Pool memory pool) {
        pool = pools.poolOf(POOL);
        vm.assume(pool.locked <= pool.capital);
    }
}

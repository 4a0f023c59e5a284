// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {PoolTerms} from "../Insurance.sol";

/// @title Capital of many owners that stands for the covers which a pool's manager sells
/// @notice Anyone opens a pool, anyone adds capital for shares. Capital leaves after a notice, and only what no
/// open cover could need.
/// @dev Trusted: the pool's manager, with aggregateMax of the capital: it decides what is sold, and at what premium.
/// `capital ≥ locked = Σ (maximum + premium) of open covers`, always. Who enters pays for the pool as if no open cover were
/// to pay; who leaves takes its share as if each paid its maximum; both are rounded down. The capital lies in the vault as a
/// fund of this contract, one a pool. The seller alone, ParametricCover, books covers; it judges what is due.
interface ICoverPools {
    /// @dev paid: payouts since the pool was opened. capital: premiums of open covers included.
    struct Pool {
        address token;
        uint96 paid;
        uint128 capital;
        uint128 locked;
        address manager;
        uint32 waitingS;
        uint32 spanS;
        uint32 noticeS;
        uint128 shares;
        uint96 eventMax;
        uint96 aggregateMax;
    }

    /// @dev leaving: of the shares, announced; they may leave from leaveS on, for LEAVE_S.
    struct Holding {
        uint128 shares;
        uint128 leaving;
        uint64 leaveS;
    }

    event PoolOpened(bytes32 indexed pool, address indexed manager, address indexed token);
    event CapitalAdded(bytes32 indexed pool, address indexed owner, uint256 amount, uint256 shares);
    event LeaveAnnounced(bytes32 indexed pool, address indexed owner, uint256 shares, uint64 leaveS);
    event CapitalRemoved(bytes32 indexed pool, address indexed owner, uint256 amount, uint256 shares);

    error CallerNotAllowed(address caller, address wanted);
    error PoolKnown(bytes32 pool);
    error PoolUnknown(bytes32 pool);
    error PoolInvalid();
    error NoticeTooShort(uint32 noticeS, uint32 min);
    /// @notice What `amount` buys is nothing, or less than asked for.
    error SharesTooFew(uint256 shares, uint256 min);
    error SharesNotHeld(uint256 shares, uint256 held);
    error SharesNotAnnounced(uint256 shares, uint256 leaving);
    error NoticeRuns(uint256 nowS, uint64 leaveS);
    /// @notice The time to leave is over: what was announced counts no more.
    error NoticeLapsed(uint256 nowS, uint64 untilS);
    /// @notice The pool's last shares stay while a cover is open: what it locks would be nobody's.
    error LastShares(bytes32 pool, uint256 locked);
    /// @notice A pool that has lost all but a thousandth of a share's first worth takes no more capital: open another.
    error PoolLost(bytes32 pool, uint256 shares, uint256 capital);
    error CapitalAboveMax(uint256 amount, uint256 max);
    /// @notice What the shares are worth to who leaves is nothing, or less than asked for.
    error AmountTooSmall(uint256 amount, uint256 min);
    /// @notice 0, or more than the vault's outflow limit could ever let out.
    error MaximumOutOfBounds(uint96 maximum, uint96 max);
    error CapitalTooSmall(bytes32 pool, uint256 wanted, uint256 free);
    error EventAboveMax(bytes32 pool, uint256 wanted, uint256 left);
    error AggregateAboveMax(bytes32 pool, uint256 wanted, uint256 left);

    /// @notice Opens a pool. Its id is poolId(terms); it holds nothing yet.
    function openPool(PoolTerms calldata terms) external returns (bytes32 pool);

    /// @notice Takes `amount` of what the caller deposited in the vault for this contract; gives shares for it.
    /// @param sharesMin Fewer shares are refused.
    function add(bytes32 pool, uint256 amount, uint256 sharesMin) external returns (uint256 shares);

    /// @notice Says that `shares` of the caller's will leave. The notice begins anew for all of them. It lapses LEAVE_S
    /// after it is over: nobody keeps the door open to leave when a loss is in sight.
    function announce(bytes32 pool, uint256 shares) external;

    /// @notice Takes back shares whose notice is over, and not yet lapsed: their part of the free capital, as the caller's credits.
    /// @dev Warning: the part of what is locked stays with the pool. It is taken along by waiting until covers end.
    /// @param amountMin Less is refused.
    function remove(bytes32 pool, uint256 shares, uint256 amountMin) external returns (uint256 amount);

    /// @notice Books a cover that is sold and takes its premium from the holder's deposit. Seller only.
    function sell(bytes32 pool, address holder, bytes32 tenant, bytes32 legId, uint96 maximum, uint96 premium)
        external;

    /// @notice Books a cover's end: the premium is earned, the payout leaves the pool. Seller only.
    /// @return isPaid False where the vault's outflow limit is used up: the payout stays in the fund for `payOwed`.
    function end(bytes32 pool, address holder, uint96 maximum, uint96 premium, uint96 payout)
        external
        returns (bool isPaid);

    /// @notice Pays of what `end` left unpaid as much as the outflow limit lets out now. Seller only.
    function payOwed(bytes32 pool, address holder, uint96 owed) external returns (uint96 amount);

    /// @notice The contract that sells covers: ParametricCover.
    function seller() external view returns (address);

    function poolOf(bytes32 pool) external view returns (Pool memory);

    /// @notice Who signs the pool's policies, and the times they must keep.
    function saleTermsOf(bytes32 pool) external view returns (address manager, uint32 waitingS, uint32 spanS);

    function holdingOf(bytes32 pool, address owner) external view returns (Holding memory);

    /// @notice Σ maxima of the covers ever sold by a pool over one leg.
    function eventSold(bytes32 pool, bytes32 tenant, bytes32 legId) external view returns (uint256);

    /// @notice keccak256(abi.encode(chain id, this contract, terms)).
    function poolId(PoolTerms calldata terms) external view returns (bytes32);
}

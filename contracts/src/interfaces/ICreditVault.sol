// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title The only holder of tokens
/// @notice An owner deposits for one product, which may lock that deposit. From what it locked, the product either
/// releases it to the owner's deposit, or turns it into another's credits. Owners take out deposits that are not locked,
/// creditors their credits, to an address they choose. A product may also gather deposits in a fund of its own, out of which it
/// makes credits. A product moves only what was deposited for it.
/// @dev For each token: balance ≥ deposits (free and locked) + credits. Warning: only tokens whose balances
/// change by transfers alone may be allowed: a rebasing token would break that. The steward allows tokens and
/// admits products, each limit once and for good; it can neither move nor hold back money.
interface ICreditVault {
    /// @dev What an owner has in a product's sub-account.
    struct Deposit {
        uint128 free;
        uint128 locked;
    }

    /// @dev spent: outflow not yet forgiven, at updatedS.
    struct Outflow {
        uint96 max;
        uint96 spent;
        uint32 updatedS;
        uint32 periodS;
    }

    event TokenAllowed(address indexed token, bool isAllowed);
    event ProductAdmitted(address indexed product, address indexed token, uint112 outflowMax, uint32 periodS);
    event Deposited(address indexed product, address indexed token, address indexed owner, uint256 amount);
    event Reclaimed(
        address indexed product, address indexed token, address indexed owner, address to, uint256 amount
    );
    event Locked(address indexed product, address indexed token, address indexed owner, uint256 amount);
    /// @notice `amount` of the owner's deposit now belongs to a fund, whose address is `fund`.
    event Gathered(
        address indexed product, address indexed token, address indexed owner, address fund, uint256 amount
    );
    event Released(address indexed product, address indexed token, address indexed owner, uint256 amount);
    event Credited(
        address indexed product, address indexed token, address indexed to, address owner, uint256 amount
    );
    event Withdrawn(address indexed token, address indexed owner, address indexed to, uint256 amount);

    error CallerNotAllowed(address caller, address wanted);
    error AddressZero();
    error TokenNotAllowed(address token);
    error ProductKnown(address product, address token);
    error ProductUnknown(address product, address token);
    error OutflowOutOfBounds(uint96 outflowMax, uint32 periodS);
    error AmountZero();
    /// @notice More or less arrived than was sent: a token that takes a fee, say.
    error AmountReceived(uint256 received, uint256 wanted);
    error DepositTooSmall(address product, address token, address owner, uint256 wanted, uint256 found);
    error CreditTooSmall(address token, address owner, uint256 wanted, uint256 found);
    error LockTooSmall(address product, address token, address owner, uint256 wanted, uint256 found);
    /// @notice A lock that the outflow limit could never let out again.
    error LockAboveOutflow(uint256 amount, uint256 outflowMax);
    /// @notice More than the product may pay out now; the limit recovers with time.
    error OutflowExceeded(uint256 amount, uint256 available);

    /// @notice Lets a token be deposited, or no longer. Steward only. What is inside can always leave.
    function allowToken(address token, bool isAllowed) external;

    /// @notice Opens a product's sub-account of a token. Steward only, once: the limit is for good.
    /// @param outflowMax Most that may turn into credits at once; recovers evenly over periodS, which it is at least, so
    /// that a second's part is not rounded to nothing.
    function admit(address product, address token, uint96 outflowMax, uint32 periodS) external;

    /// @notice Takes tokens from the caller (approve first) and keeps them for `product` to lock.
    function deposit(address product, address token, uint256 amount) external;

    /// @notice Keeps the caller's own credits for `product` to lock.
    function depositCredit(address product, address token, uint256 amount) external;

    /// @notice Pays the caller's deposit, as far as it is not locked, to `to`.
    function reclaim(address product, address token, uint256 amount, address to) external;

    /// @notice Locks `owner`'s deposit. Product only.
    function lock(address token, address owner, uint256 amount) external;

    /// @notice Takes `owner`'s deposit into one of the product's funds, locked. Product only.
    /// @dev A fund belongs to nobody: what is in it leaves as credits alone, which the outflow limit counts.
    function gather(address token, address owner, bytes32 fund, uint256 amount) external;

    /// @notice Gives what is locked back to `owner`'s deposit. Product only.
    function release(address token, address owner, uint256 amount) external;

    /// @notice Turns what is locked of `owner` into credits of `to`, within the outflow limit. Product only.
    function credit(address token, address owner, address to, uint256 amount) external;

    /// @notice Pays the caller's credits to `to`.
    function withdraw(address token, uint256 amount, address to) external;

    /// @notice The owner that a product's fund is in this vault's books: an address that is nobody's.
    function fundOf(address product, bytes32 fund) external pure returns (address);

    function steward() external view returns (address);

    function isAllowed(address token) external view returns (bool);

    function depositOf(address product, address token, address owner) external view returns (Deposit memory);

    function creditOf(address token, address owner) external view returns (uint256);

    function outflowOf(address product, address token) external view returns (Outflow memory);

    /// @notice What the product may turn into credits now.
    function outflowAvailable(address product, address token) external view returns (uint256);
}

// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {PoolTerms} from "./Insurance.sol";
import {ICoverPools} from "./interfaces/ICoverPools.sol";
import {ICreditVault} from "./interfaces/ICreditVault.sol";

/// @title CoverPools: what it promises is written at its interface, ICoverPools
contract CoverPools is ICoverPools {
    using SafeCast for uint256;

    /// @notice Shares beyond those given, which nobody owns: they make inflating a share's price cost more than it takes.
    uint256 public constant VIRTUAL_SHARES = 1e6;
    /// @notice A pool that has more shares for a unit of capital has lost all but a thousandth: it takes no more.
    uint256 public constant SHARES_PER_UNIT_MAX = 1e9;
    /// @notice As much as the limits of covers can count. So shares stay below 2^126.
    uint256 public constant CAPITAL_MAX = type(uint96).max;
    /// @notice How long announced shares may leave once their notice is over.
    uint64 public constant LEAVE_S = 7 days;

    /// @inheritdoc ICoverPools
    address public immutable seller;
    ICreditVault public immutable vault;
    uint32 public immutable noticeMinS;
    mapping(bytes32 id => Pool) private _pools;
    mapping(bytes32 id => mapping(address owner => Holding)) private _holdings;
    mapping(bytes32 eventId => uint256) private _eventSold;

    constructor(ICreditVault vault_, uint32 noticeMinS_) {
        seller = msg.sender;
        vault = vault_;
        noticeMinS = noticeMinS_;
    }

    /// @inheritdoc ICoverPools
    function openPool(PoolTerms calldata terms) external returns (bytes32 id) {
        require(
            terms.manager != address(0) && terms.token != address(0) && terms.eventMax != 0
                && terms.aggregateMax != 0 && terms.waitingS < terms.spanS,
            PoolInvalid()
        );
        require(terms.noticeS >= noticeMinS, NoticeTooShort(terms.noticeS, noticeMinS));
        id = poolId(terms);
        Pool storage pool = _pools[id];
        require(pool.manager == address(0), PoolKnown(id));
        (pool.manager, pool.token) = (terms.manager, terms.token);
        (pool.waitingS, pool.spanS, pool.noticeS) = (terms.waitingS, terms.spanS, terms.noticeS);
        (pool.eventMax, pool.aggregateMax) = (terms.eventMax, terms.aggregateMax);
        emit PoolOpened(id, terms.manager, terms.token);
    }

    /// @inheritdoc ICoverPools
    function add(bytes32 id, uint256 amount, uint256 sharesMin) external returns (uint256 shares) {
        Pool storage pool = _knownPool(id);
        (uint256 total, uint256 worth) = (pool.shares + VIRTUAL_SHARES, uint256(pool.capital) + 1);
        require(amount < CAPITAL_MAX && worth + amount <= CAPITAL_MAX, CapitalAboveMax(amount, CAPITAL_MAX));
        require(total <= worth * SHARES_PER_UNIT_MAX, PoolLost(id, pool.shares, pool.capital));
        shares = _mulDivDown(amount, total, worth);
        require(shares != 0 && shares >= sharesMin, SharesTooFew(shares, sharesMin));
        pool.shares += shares.toUint128();
        pool.capital += amount.toUint128();
        _holdings[id][msg.sender].shares += uint128(shares);
        emit CapitalAdded(id, msg.sender, amount, shares);
        vault.gather(pool.token, msg.sender, id, amount);
    }

    /// @inheritdoc ICoverPools
    function announce(bytes32 id, uint256 shares) external {
        Pool storage pool = _knownPool(id);
        Holding storage holding = _holdings[id][msg.sender];
        require(shares <= holding.shares, SharesNotHeld(shares, holding.shares));
        uint64 leaveS = uint64(block.timestamp) + pool.noticeS;
        (holding.leaving, holding.leaveS) = (uint128(shares), leaveS);
        emit LeaveAnnounced(id, msg.sender, shares, leaveS);
    }

    /// @inheritdoc ICoverPools
    function remove(bytes32 id, uint256 shares, uint256 amountMin) external returns (uint256 amount) {
        Pool storage pool = _knownPool(id);
        Holding storage holding = _holdings[id][msg.sender];
        require(shares <= holding.leaving, SharesNotAnnounced(shares, holding.leaving));
        require(block.timestamp >= holding.leaveS, NoticeRuns(block.timestamp, holding.leaveS));
        uint64 untilS = holding.leaveS + LEAVE_S;
        require(block.timestamp < untilS, NoticeLapsed(block.timestamp, untilS));
        require(shares != pool.shares || pool.locked == 0, LastShares(id, pool.locked));
        amount = _mulDivDown(shares, pool.capital - pool.locked, pool.shares + VIRTUAL_SHARES);
        require(amount != 0 && amount >= amountMin, AmountTooSmall(amount, amountMin));
        (holding.shares, holding.leaving) =
        (holding.shares - uint128(shares), holding.leaving - uint128(shares));
        pool.shares -= uint128(shares);
        pool.capital -= uint128(amount);
        emit CapitalRemoved(id, msg.sender, amount, shares);
        vault.credit(pool.token, _fundOf(id), msg.sender, amount);
    }

    /// @inheritdoc ICoverPools
    function sell(bytes32 id, address holder, bytes32 tenant, bytes32 legId, uint96 maximum, uint96 premium)
        external
    {
        _checkSeller();
        _reserve(_knownPool(id), id, _eventId(id, tenant, legId), maximum, premium);
        if (premium != 0) vault.gather(_pools[id].token, holder, id, premium);
    }

    /// @inheritdoc ICoverPools
    function end(bytes32 id, address holder, uint96 maximum, uint96 premium, uint96 payout)
        external
        returns (bool isPaid)
    {
        _checkSeller();
        Pool storage pool = _pools[id];
        (pool.capital, pool.locked) = (pool.capital - payout, pool.locked - (uint128(maximum) + premium));
        if (payout == 0) return true;
        pool.paid += payout;
        return _credit(pool.token, id, holder, payout);
    }

    /// @inheritdoc ICoverPools
    function payOwed(bytes32 id, address holder, uint96 owed) external returns (uint96 amount) {
        _checkSeller();
        address token = _pools[id].token;
        uint256 available = vault.outflowAvailable(address(this), token);
        amount = owed < available ? owed : uint96(available);
        if (amount != 0) vault.credit(token, _fundOf(id), holder, amount);
    }

    /// @inheritdoc ICoverPools
    function poolOf(bytes32 id) external view returns (Pool memory) {
        return _pools[id];
    }

    /// @inheritdoc ICoverPools
    function saleTermsOf(bytes32 id) external view returns (address manager, uint32 waitingS, uint32 spanS) {
        Pool storage pool = _knownPool(id);
        return (pool.manager, pool.waitingS, pool.spanS);
    }

    /// @inheritdoc ICoverPools
    function holdingOf(bytes32 id, address owner) external view returns (Holding memory) {
        return _holdings[id][owner];
    }

    /// @inheritdoc ICoverPools
    function eventSold(bytes32 id, bytes32 tenant, bytes32 legId) external view returns (uint256) {
        return _eventSold[_eventId(id, tenant, legId)];
    }

    /// @inheritdoc ICoverPools
    function poolId(PoolTerms calldata terms) public view returns (bytes32) {
        return keccak256(abi.encode(block.chainid, address(this), terms));
    }

    /// @dev Locks a cover's maximum and premium, within the free capital and each limit.
    function _reserve(Pool storage pool, bytes32 id, bytes32 eventId, uint96 maximum, uint96 premium)
        private
    {
        uint96 max = vault.outflowOf(address(this), pool.token).max;
        require(maximum != 0 && maximum <= max, MaximumOutOfBounds(maximum, max));
        (uint256 capital, uint256 locked) = (pool.capital, pool.locked);
        require(maximum <= capital - locked, CapitalTooSmall(id, maximum, capital - locked));
        uint256 left = pool.eventMax - _eventSold[eventId];
        require(maximum <= left, EventAboveMax(id, maximum, left));
        uint256 wanted = uint256(maximum) + premium;
        left = pool.aggregateMax - (pool.paid + locked);
        require(wanted <= left, AggregateAboveMax(id, wanted, left));
        _eventSold[eventId] += maximum;
        (pool.capital, pool.locked) = ((capital + premium).toUint128(), uint128(locked + wanted));
    }

    /// @dev False where the vault's outflow limit does not let the amount out now. Any other failure is one here,
    /// too: a call that ran out of gas must not turn a payment into a debt.
    function _credit(address token, bytes32 id, address holder, uint256 amount) private returns (bool) {
        try vault.credit(token, _fundOf(id), holder, amount) {
            return true;
        } catch (bytes memory reason) {
            if (bytes4(reason) == ICreditVault.OutflowExceeded.selector) return false;
            assembly ("memory-safe") {
                revert(add(reason, 32), mload(reason))
            }
        }
    }

    /// @dev As the vault's fundOf, without asking it.
    function _fundOf(bytes32 id) private view returns (address) {
        return address(uint160(uint256(keccak256(abi.encode(address(this), id)))));
    }

    function _checkSeller() private view {
        require(msg.sender == seller, CallerNotAllowed(msg.sender, seller));
    }

    function _knownPool(bytes32 id) private view returns (Pool storage pool) {
        pool = _pools[id];
        require(pool.manager != address(0), PoolUnknown(id));
    }

    function _eventId(bytes32 id, bytes32 tenant, bytes32 legId) private pure returns (bytes32) {
        return keccak256(abi.encode(id, tenant, legId));
    }

    function _mulDivDown(uint256 a, uint256 b, uint256 divisor) private pure returns (uint256) {
        return a * b / divisor;
    }
}

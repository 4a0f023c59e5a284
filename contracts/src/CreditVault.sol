// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {ICreditVault} from "./interfaces/ICreditVault.sol";

/// @title CreditVault: what it promises is written at its interface, ICreditVault
contract CreditVault is ICreditVault, ReentrancyGuardTransient {
    using SafeCast for uint256;
    using SafeERC20 for IERC20;

    uint32 public constant PERIOD_S_MAX = 365 days;

    /// @inheritdoc ICreditVault
    address public immutable steward;
    /// @inheritdoc ICreditVault
    mapping(address token => bool isAllowed) public isAllowed;
    mapping(address product => mapping(address token => Outflow outflow)) private _outflows;
    mapping(address product => mapping(address token => mapping(address owner => Deposit))) private _deposits;
    mapping(address token => mapping(address owner => uint256 amount)) private _credits;

    constructor(address steward_) {
        require(steward_ != address(0), AddressZero());
        steward = steward_;
    }

    /// @inheritdoc ICreditVault
    function allowToken(address token, bool isAllowed_) external {
        _checkSteward();
        require(token != address(0), AddressZero());
        isAllowed[token] = isAllowed_;
        emit TokenAllowed(token, isAllowed_);
    }

    /// @inheritdoc ICreditVault
    function admit(address product, address token, uint96 outflowMax, uint32 periodS) external {
        _checkSteward();
        require(product != address(0) && token != address(0), AddressZero());
        require(
            periodS != 0 && periodS <= PERIOD_S_MAX && outflowMax >= periodS,
            OutflowOutOfBounds(outflowMax, periodS)
        );
        require(_outflows[product][token].max == 0, ProductKnown(product, token));
        _outflows[product][token] = Outflow(outflowMax, 0, uint32(block.timestamp), periodS);
        emit ProductAdmitted(product, token, outflowMax, periodS);
    }

    /// @inheritdoc ICreditVault
    function deposit(address product, address token, uint256 amount) external nonReentrant {
        _checkDeposit(product, token, amount);
        uint256 before = IERC20(token).balanceOf(address(this));
        IERC20(token).safeTransferFrom(msg.sender, address(this), amount);
        // Written after the call: only what arrived counts, and the guard keeps every other door shut meanwhile.
        uint256 received = IERC20(token).balanceOf(address(this)) - before;
        require(received == amount, AmountReceived(received, amount));
        _deposits[product][token][msg.sender].free += amount.toUint128();
        emit Deposited(product, token, msg.sender, amount);
    }

    /// @inheritdoc ICreditVault
    function depositCredit(address product, address token, uint256 amount) external nonReentrant {
        _checkDeposit(product, token, amount);
        _takeCredit(token, amount);
        _deposits[product][token][msg.sender].free += amount.toUint128();
        emit Deposited(product, token, msg.sender, amount);
    }

    /// @inheritdoc ICreditVault
    function reclaim(address product, address token, uint256 amount, address to) external nonReentrant {
        require(to != address(0), AddressZero());
        _takeFree(product, token, msg.sender, amount);
        emit Reclaimed(product, token, msg.sender, to, amount);
        IERC20(token).safeTransfer(to, amount);
    }

    /// @inheritdoc ICreditVault
    function lock(address token, address owner, uint256 amount) external nonReentrant {
        uint256 max = _outflow(msg.sender, token).max;
        require(amount <= max, LockAboveOutflow(amount, max));
        _takeFree(msg.sender, token, owner, amount).locked += uint128(amount);
        emit Locked(msg.sender, token, owner, amount);
    }

    /// @inheritdoc ICreditVault
    function gather(address token, address owner, bytes32 fund, uint256 amount) external nonReentrant {
        address place = fundOf(msg.sender, fund);
        _takeFree(msg.sender, token, owner, amount);
        _deposits[msg.sender][token][place].locked += uint128(amount);
        emit Gathered(msg.sender, token, owner, place, amount);
    }

    /// @inheritdoc ICreditVault
    function release(address token, address owner, uint256 amount) external nonReentrant {
        _takeLocked(token, owner, amount).free += uint128(amount);
        emit Released(msg.sender, token, owner, amount);
    }

    /// @inheritdoc ICreditVault
    function credit(address token, address owner, address to, uint256 amount) external nonReentrant {
        require(to != address(0), AddressZero());
        _takeLocked(token, owner, amount);
        Outflow memory outflow = _outflow(msg.sender, token);
        uint256 spent = _spent(outflow);
        require(amount <= outflow.max - spent, OutflowExceeded(amount, outflow.max - spent));
        outflow.spent = uint96(spent + amount);
        outflow.updatedS = uint32(block.timestamp);
        _outflows[msg.sender][token] = outflow;
        _credits[token][to] += amount;
        emit Credited(msg.sender, token, to, owner, amount);
    }

    /// @inheritdoc ICreditVault
    function withdraw(address token, uint256 amount, address to) external nonReentrant {
        require(to != address(0), AddressZero());
        _takeCredit(token, amount);
        emit Withdrawn(token, msg.sender, to, amount);
        IERC20(token).safeTransfer(to, amount);
    }

    /// @inheritdoc ICreditVault
    function depositOf(address product, address token, address owner) external view returns (Deposit memory) {
        return _deposits[product][token][owner];
    }

    /// @inheritdoc ICreditVault
    function creditOf(address token, address owner) external view returns (uint256) {
        return _credits[token][owner];
    }

    /// @inheritdoc ICreditVault
    function outflowOf(address product, address token) external view returns (Outflow memory) {
        return _outflows[product][token];
    }

    /// @inheritdoc ICreditVault
    function outflowAvailable(address product, address token) external view returns (uint256) {
        Outflow memory outflow = _outflow(product, token);
        return outflow.max - _spent(outflow);
    }

    /// @inheritdoc ICreditVault
    function fundOf(address product, bytes32 fund) public pure returns (address) {
        return address(uint160(uint256(keccak256(abi.encode(product, fund)))));
    }

    function _takeFree(address product, address token, address owner, uint256 amount)
        private
        returns (Deposit storage place)
    {
        require(amount != 0, AmountZero());
        place = _deposits[product][token][owner];
        uint256 found = place.free;
        require(amount <= found, DepositTooSmall(product, token, owner, amount, found));
        place.free = uint128(found - amount);
    }

    /// @dev Of the calling product's sub-account.
    function _takeLocked(address token, address owner, uint256 amount)
        private
        returns (Deposit storage place)
    {
        require(amount != 0, AmountZero());
        place = _deposits[msg.sender][token][owner];
        uint256 found = place.locked;
        require(amount <= found, LockTooSmall(msg.sender, token, owner, amount, found));
        place.locked = uint128(found - amount);
    }

    function _takeCredit(address token, uint256 amount) private {
        require(amount != 0, AmountZero());
        uint256 found = _credits[token][msg.sender];
        require(amount <= found, CreditTooSmall(token, msg.sender, amount, found));
        _credits[token][msg.sender] = found - amount;
    }

    function _checkSteward() private view {
        require(msg.sender == steward, CallerNotAllowed(msg.sender, steward));
    }

    function _checkDeposit(address product, address token, uint256 amount) private view {
        require(isAllowed[token], TokenNotAllowed(token));
        require(amount != 0, AmountZero());
        _outflow(product, token);
    }

    function _outflow(address product, address token) private view returns (Outflow memory outflow) {
        outflow = _outflows[product][token];
        require(outflow.max != 0, ProductUnknown(product, token));
    }

    /// @dev What counts against the limit now: forgiven evenly, rounded up, in the limit's favour.
    function _spent(Outflow memory outflow) private view returns (uint256) {
        uint256 passedS = block.timestamp - outflow.updatedS;
        uint256 forgiven = passedS * outflow.max / outflow.periodS;
        return forgiven < outflow.spent ? outflow.spent - forgiven : 0;
    }
}

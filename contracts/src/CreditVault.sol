// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {ICreditVault} from "./interfaces/ICreditVault.sol";

/// @title CreditVault: what it promises is written at its interface, ICreditVault
contract CreditVault is ICreditVault, ReentrancyGuardTransient {
    using SafeERC20 for IERC20;

    uint32 public constant PERIOD_S_MAX = 365 days;

    /// @inheritdoc ICreditVault
    address public immutable steward;
    /// @inheritdoc ICreditVault
    mapping(address token => bool isAllowed) public isAllowed;
    mapping(address product => mapping(address token => Account account)) private _accounts;
    mapping(address product => mapping(address token => mapping(address owner => uint256 amount))) private
        _deposits;
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
    function admit(address product, address token, uint112 outflowMax, uint32 periodS) external {
        _checkSteward();
        require(product != address(0) && token != address(0), AddressZero());
        require(
            outflowMax != 0 && periodS != 0 && periodS <= PERIOD_S_MAX,
            OutflowOutOfBounds(outflowMax, periodS)
        );
        Account storage account = _accounts[product][token];
        require(account.outflowMax == 0, ProductKnown(product, token));
        account.outflowMax = outflowMax;
        account.periodS = periodS;
        account.updatedS = uint32(block.timestamp);
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
        _deposits[product][token][msg.sender] += amount;
        emit Deposited(product, token, msg.sender, amount);
    }

    /// @inheritdoc ICreditVault
    function depositCredit(address product, address token, uint256 amount) external nonReentrant {
        _checkDeposit(product, token, amount);
        _takeCredit(token, amount);
        _deposits[product][token][msg.sender] += amount;
        emit Deposited(product, token, msg.sender, amount);
    }

    /// @inheritdoc ICreditVault
    function reclaim(address product, address token, uint256 amount) external nonReentrant {
        _takeDeposit(product, token, msg.sender, amount);
        _credits[token][msg.sender] += amount;
        emit Reclaimed(product, token, msg.sender, amount);
    }

    /// @inheritdoc ICreditVault
    function lock(address token, address owner, uint256 amount) external nonReentrant {
        Account storage account = _account(msg.sender, token);
        require(amount <= account.outflowMax, LockAboveOutflow(amount, account.outflowMax));
        _takeDeposit(msg.sender, token, owner, amount);
        account.held += uint112(amount);
        emit Locked(msg.sender, token, owner, amount);
    }

    /// @inheritdoc ICreditVault
    function credit(address token, address owner, uint256 amount) external nonReentrant {
        require(amount != 0, AmountZero());
        require(owner != address(0), AddressZero());
        Account storage account = _account(msg.sender, token);
        Account memory seen = account;
        require(amount <= seen.held, HeldTooSmall(msg.sender, token, amount, seen.held));
        uint256 spent = _spent(seen);
        uint256 available = seen.outflowMax - spent;
        require(amount <= available, OutflowExceeded(amount, available));
        account.held = uint112(seen.held - amount);
        account.spent = uint112(spent + amount);
        account.updatedS = uint32(block.timestamp);
        _credits[token][owner] += amount;
        emit Credited(msg.sender, token, owner, amount);
    }

    /// @inheritdoc ICreditVault
    function withdraw(address token, uint256 amount, address to) external nonReentrant {
        require(to != address(0), AddressZero());
        _takeCredit(token, amount);
        emit Withdrawn(token, msg.sender, to, amount);
        IERC20(token).safeTransfer(to, amount);
    }

    /// @inheritdoc ICreditVault
    function accountOf(address product, address token) external view returns (Account memory) {
        return _accounts[product][token];
    }

    /// @inheritdoc ICreditVault
    function depositOf(address product, address token, address owner) external view returns (uint256) {
        return _deposits[product][token][owner];
    }

    /// @inheritdoc ICreditVault
    function creditOf(address token, address owner) external view returns (uint256) {
        return _credits[token][owner];
    }

    /// @inheritdoc ICreditVault
    function outflowAvailable(address product, address token) external view returns (uint256) {
        Account memory account = _account(product, token);
        return account.outflowMax - _spent(account);
    }

    function _takeDeposit(address product, address token, address owner, uint256 amount) private {
        require(amount != 0, AmountZero());
        uint256 found = _deposits[product][token][owner];
        require(amount <= found, DepositTooSmall(product, token, owner, amount, found));
        _deposits[product][token][owner] = found - amount;
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
        _account(product, token);
    }

    function _account(address product, address token) private view returns (Account storage account) {
        account = _accounts[product][token];
        require(account.outflowMax != 0, ProductUnknown(product, token));
    }

    /// @dev What counts against the limit now: forgiven evenly, rounded up, in the limit's favour.
    function _spent(Account memory account) private view returns (uint256) {
        uint256 passedS = block.timestamp - account.updatedS;
        uint256 forgiven = passedS * account.outflowMax / account.periodS;
        return forgiven < account.spent ? account.spent - forgiven : 0;
    }
}

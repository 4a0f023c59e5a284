// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IAnchorRegistry} from "./interfaces/IAnchorRegistry.sol";
import {Rfc9162} from "./Rfc9162.sol";

/// @title AnchorRegistry: what it promises is written at its interface, IAnchorRegistry
contract AnchorRegistry is IAnchorRegistry {
    uint32 public constant WINDOW_S_MIN = 1;
    uint32 public constant WINDOW_S_MAX = 30 days;

    /// @dev untilS: when the contest ends by itself; 0: never contested.
    struct Contest {
        uint64 untilS;
        bool isEnded;
        bool isVoid;
    }

    /// @inheritdoc IAnchorRegistry
    address public immutable guardian;
    /// @inheritdoc IAnchorRegistry
    uint32 public immutable windowS;
    /// @inheritdoc IAnchorRegistry
    address public anchorer;
    /// @inheritdoc IAnchorRegistry
    uint64 public head;
    mapping(uint64 interval => bytes32 commitment) private _commitments;
    mapping(uint64 interval => Contest contest) private _contests;

    constructor(address anchorer_, address guardian_, uint32 windowS_) {
        require(anchorer_ != address(0) && guardian_ != address(0), AddressZero());
        require(
            windowS_ >= WINDOW_S_MIN && windowS_ <= WINDOW_S_MAX,
            WindowOutOfBounds(windowS_, WINDOW_S_MIN, WINDOW_S_MAX)
        );
        anchorer = anchorer_;
        guardian = guardian_;
        windowS = windowS_;
        emit AnchorerChanged(anchorer_);
    }

    /// @inheritdoc IAnchorRegistry
    function anchor(uint64 interval, bytes32 superRoot, uint64 batchCount) external {
        require(msg.sender == anchorer, CallerNotAllowed(msg.sender, anchorer));
        require(interval == head + 1, IntervalOutOfOrder(interval, head + 1));
        require(superRoot != 0, SuperRootZero());
        require(batchCount != 0 && batchCount <= Rfc9162.TREE_LEAVES_MAX, BatchCountOutOfBounds(batchCount));
        uint64 nowS = uint64(block.timestamp);
        head = interval;
        _commitments[interval] = _commitment(superRoot, batchCount, nowS);
        emit Anchored(interval, superRoot, batchCount, nowS);
    }

    /// @inheritdoc IAnchorRegistry
    function contest(uint64 interval, Anchor calldata anchored, string calldata reason) external {
        _checkGuardian();
        State state = stateOf(interval, anchored);
        require(_contests[interval].untilS == 0, AlreadyContested(interval));
        require(state == State.Anchored, IntervalNotAnchored(interval, state));
        uint64 untilS = uint64(block.timestamp) + windowS;
        _contests[interval].untilS = untilS;
        emit Contested(interval, untilS, reason);
    }

    /// @inheritdoc IAnchorRegistry
    function endContest(uint64 interval, Anchor calldata anchored, bool isVoid) external {
        _checkGuardian();
        State state = stateOf(interval, anchored);
        require(state == State.Contested, IntervalNotContested(interval, state));
        _contests[interval].isEnded = true;
        _contests[interval].isVoid = isVoid;
        emit ContestEnded(interval, isVoid);
    }

    /// @inheritdoc IAnchorRegistry
    function setAnchorer(address anchorer_) external {
        _checkGuardian();
        require(anchorer_ != address(0), AddressZero());
        anchorer = anchorer_;
        emit AnchorerChanged(anchorer_);
    }

    /// @inheritdoc IAnchorRegistry
    function anchorOf(uint64 interval) external view returns (bytes32) {
        return _commitments[interval];
    }

    /// @inheritdoc IAnchorRegistry
    function isFinal(uint64 interval, Anchor calldata anchored) external view returns (bool) {
        return stateOf(interval, anchored) == State.Final;
    }

    /// @inheritdoc IAnchorRegistry
    function commitmentOf(Anchor calldata anchored) external pure returns (bytes32) {
        return _commitment(anchored.superRoot, anchored.batchCount, anchored.anchoredS);
    }

    /// @inheritdoc IAnchorRegistry
    function stateOf(uint64 interval, Anchor calldata anchored) public view returns (State) {
        bytes32 wanted = _commitments[interval];
        if (wanted == 0) return State.None;
        bytes32 found = _commitment(anchored.superRoot, anchored.batchCount, anchored.anchoredS);
        require(found == wanted, AnchorMismatch(interval, found, wanted));
        Contest memory contested = _contests[interval];
        if (contested.isVoid) return State.Void;
        if (contested.isEnded) return State.Final;
        if (contested.untilS != 0) {
            return block.timestamp < contested.untilS ? State.Contested : State.Final;
        }
        return block.timestamp < uint256(anchored.anchoredS) + windowS ? State.Anchored : State.Final;
    }

    function _checkGuardian() private view {
        require(msg.sender == guardian, CallerNotAllowed(msg.sender, guardian));
    }

    function _commitment(bytes32 superRoot, uint64 batchCount, uint64 anchoredS)
        private
        pure
        returns (bytes32)
    {
        return keccak256(abi.encode(superRoot, batchCount, anchoredS));
    }
}

// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title The sequence of super-roots
/// @notice One super-root an interval for all tenants, in one transaction. anchored → final after the window;
/// a contested interval is final later, or void. Nothing is paid from an interval that is not final.
/// @dev Only a commitment to (superRoot, batchCount, anchoredS) is stored; callers re-supply the three, which the
/// event carries. Warning: an anchor proves that the root existed at that time, not that its data is available.
interface IAnchorRegistry {
    enum State {
        None,
        Anchored,
        Contested,
        Final,
        Void
    }

    /// @dev anchoredS is the block's time in seconds.
    struct Anchor {
        bytes32 superRoot;
        uint64 batchCount;
        uint64 anchoredS;
    }

    event Anchored(uint64 indexed interval, bytes32 indexed superRoot, uint64 batchCount, uint64 anchoredS);
    event Contested(uint64 indexed interval, uint64 untilS, string reason);
    event ContestEnded(uint64 indexed interval, bool isVoid);
    event AnchorerChanged(address indexed anchorer);

    error CallerNotAllowed(address caller, address wanted);
    error AddressZero();
    error WindowOutOfBounds(uint32 windowS, uint32 min, uint32 max);
    /// @notice Not the next interval: sent twice, or out of order.
    error IntervalOutOfOrder(uint64 interval, uint64 next);
    error BatchCountOutOfBounds(uint64 batchCount);
    error SuperRootZero();
    /// @notice What was re-supplied is not what was anchored.
    error AnchorMismatch(uint64 interval, bytes32 found, bytes32 wanted);
    error IntervalNotAnchored(uint64 interval, State state);
    error IntervalNotContested(uint64 interval, State state);
    error AlreadyContested(uint64 interval);

    /// @notice Records the super-root of the next interval. Anchorer only. Intervals count from 1.
    function anchor(uint64 interval, bytes32 superRoot, uint64 batchCount) external;

    /// @notice Stops an interval that is not yet final for one window. Guardian only, once an interval.
    function contest(uint64 interval, Anchor calldata anchored, string calldata reason) external;

    /// @notice Ends a contest: void, or final at once. Guardian only, within the contest's window.
    /// @dev Without it the interval becomes final when that window ends: silence cannot freeze money.
    function endContest(uint64 interval, Anchor calldata anchored, bool isVoid) external;

    /// @notice Replaces the anchoring key. Guardian only.
    function setAnchorer(address anchorer) external;

    function anchorer() external view returns (address);

    function guardian() external view returns (address);

    /// @notice Seconds from the anchor to finality, and of a contest.
    function windowS() external view returns (uint32);

    /// @notice The newest interval anchored; 0 before the first.
    function head() external view returns (uint64);

    /// @notice The commitment of an interval; zero if it is not anchored.
    function anchorOf(uint64 interval) external view returns (bytes32);

    /// @notice keccak256(abi.encode(superRoot, batchCount, anchoredS)).
    function commitmentOf(Anchor calldata anchored) external pure returns (bytes32);

    /// @notice None if it is not anchored; reverts where `anchored` is not what was anchored.
    function stateOf(uint64 interval, Anchor calldata anchored) external view returns (State);

    function isFinal(uint64 interval, Anchor calldata anchored) external view returns (bool);
}

// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {AnchorRegistry} from "../src/AnchorRegistry.sol";
import {IAnchorRegistry} from "../src/interfaces/IAnchorRegistry.sol";
import {Base} from "./Base.sol";

/// @notice Anchors follow one another, never change, and become final unless the guardian says otherwise in time.
contract AnchorRegistryTest is Base {
    uint64 private constant NOW_S = 1_767_225_600;
    uint32 private constant WINDOW_S = 2 days;

    address private anchorer = actor("anchorer");
    address private guardian = actor("guardian");
    address private stranger = actor("stranger");
    AnchorRegistry private anchors;

    function setUp() public {
        vm.warp(NOW_S);
        anchors = new AnchorRegistry(anchorer, guardian, WINDOW_S);
    }

    function testFinalAfterTheWindow() public {
        IAnchorRegistry.Anchor memory one = _anchor(1);
        _expectState(1, one, IAnchorRegistry.State.Anchored);
        vm.warp(NOW_S + WINDOW_S - 1);
        assertTrue(!anchors.isFinal(1, one), "not yet final");
        vm.warp(NOW_S + WINDOW_S);
        assertTrue(anchors.isFinal(1, one), "final");
        assertEq(anchors.anchorOf(1), anchors.commitmentOf(one), "commitment");
        assertEq(anchors.anchorOf(1), keccak256(abi.encode(one.superRoot, 2, NOW_S)), "as the page says");
    }

    function testUnknownInterval() public view {
        IAnchorRegistry.Anchor memory nothing;
        assertTrue(anchors.stateOf(1, nothing) == IAnchorRegistry.State.None, "none");
        assertTrue(!anchors.isFinal(1, nothing), "not final");
    }

    /// @notice Any field of what is re-supplied changed: refused, never judged.
    function testFuzz_OnlyWhatWasAnchoredIsJudged(bytes32 root, uint64 count, uint64 anchoredS) public {
        IAnchorRegistry.Anchor memory one = _anchor(1);
        IAnchorRegistry.Anchor memory other = IAnchorRegistry.Anchor(root, count, anchoredS);
        vm.assume(keccak256(abi.encode(one)) != keccak256(abi.encode(other)));
        vm.expectRevert(
            abi.encodeWithSelector(
                IAnchorRegistry.AnchorMismatch.selector,
                1,
                keccak256(abi.encode(other)),
                keccak256(abi.encode(one))
            )
        );
        anchors.isFinal(1, other);
    }

    function testOnlyTheNextInterval() public {
        vm.startPrank(anchorer);
        vm.expectRevert(abi.encodeWithSelector(IAnchorRegistry.IntervalOutOfOrder.selector, 0, 1));
        anchors.anchor(0, "root", 1);
        vm.expectRevert(abi.encodeWithSelector(IAnchorRegistry.IntervalOutOfOrder.selector, 2, 1));
        anchors.anchor(2, "root", 1);
        anchors.anchor(1, "root", 1);
        bytes32 before = anchors.anchorOf(1);
        vm.expectRevert(abi.encodeWithSelector(IAnchorRegistry.IntervalOutOfOrder.selector, 1, 2));
        anchors.anchor(1, "another", 1);
        assertEq(anchors.anchorOf(1), before, "unchanged");
        anchors.anchor(2, "root", 1);
        assertEq(anchors.head(), 2, "head");
    }

    function testAnchorRefusals() public {
        vm.expectRevert(_notAllowed(stranger, anchorer));
        vm.prank(stranger);
        anchors.anchor(1, "root", 1);
        vm.startPrank(anchorer);
        vm.expectRevert(abi.encodeWithSelector(IAnchorRegistry.SuperRootZero.selector));
        anchors.anchor(1, 0, 1);
        vm.expectRevert(abi.encodeWithSelector(IAnchorRegistry.BatchCountOutOfBounds.selector, 0));
        anchors.anchor(1, "root", 0);
        uint64 tooMany = (1 << 32) + 1;
        vm.expectRevert(abi.encodeWithSelector(IAnchorRegistry.BatchCountOutOfBounds.selector, tooMany));
        anchors.anchor(1, "root", tooMany);
    }

    /// @notice A contest that nobody ends runs out: silence cannot freeze money.
    function testContestRunsOut() public {
        IAnchorRegistry.Anchor memory one = _anchor(1);
        vm.warp(NOW_S + WINDOW_S - 1);
        _contest(1, one);
        vm.warp(NOW_S + 2 * WINDOW_S - 2);
        _expectState(1, one, IAnchorRegistry.State.Contested);
        vm.warp(NOW_S + 2 * WINDOW_S - 1);
        _expectState(1, one, IAnchorRegistry.State.Final);
        vm.expectRevert(abi.encodeWithSelector(IAnchorRegistry.AlreadyContested.selector, 1));
        vm.prank(guardian);
        anchors.contest(1, one, "again");
        vm.expectRevert(
            abi.encodeWithSelector(
                IAnchorRegistry.IntervalNotContested.selector, 1, IAnchorRegistry.State.Final
            )
        );
        vm.prank(guardian);
        anchors.endContest(1, one, true);
    }

    function testContestEndsVoidOrFinal() public {
        IAnchorRegistry.Anchor memory one = _anchor(1);
        IAnchorRegistry.Anchor memory two = _anchor(2);
        _contest(1, one);
        _contest(2, two);
        vm.startPrank(guardian);
        anchors.endContest(1, one, true);
        anchors.endContest(2, two, false);
        vm.stopPrank();
        _expectState(2, two, IAnchorRegistry.State.Final);
        vm.warp(NOW_S + 365 days);
        _expectState(1, one, IAnchorRegistry.State.Void);
        vm.expectRevert(
            abi.encodeWithSelector(
                IAnchorRegistry.IntervalNotContested.selector, 1, IAnchorRegistry.State.Void
            )
        );
        vm.prank(guardian);
        anchors.endContest(1, one, false);
    }

    function testContestRefusals() public {
        IAnchorRegistry.Anchor memory one = _anchor(1);
        vm.expectRevert(_notAllowed(stranger, guardian));
        vm.prank(stranger);
        anchors.contest(1, one, "");
        vm.expectRevert(_notAllowed(stranger, guardian));
        vm.prank(stranger);
        anchors.endContest(1, one, true);
        vm.startPrank(guardian);
        vm.expectRevert(
            abi.encodeWithSelector(
                IAnchorRegistry.IntervalNotAnchored.selector, 2, IAnchorRegistry.State.None
            )
        );
        anchors.contest(2, one, "");
        vm.expectRevert(
            abi.encodeWithSelector(
                IAnchorRegistry.IntervalNotContested.selector, 1, IAnchorRegistry.State.Anchored
            )
        );
        anchors.endContest(1, one, true);
        vm.warp(NOW_S + WINDOW_S);
        vm.expectRevert(
            abi.encodeWithSelector(
                IAnchorRegistry.IntervalNotAnchored.selector, 1, IAnchorRegistry.State.Final
            )
        );
        anchors.contest(1, one, "too late");
    }

    /// @notice A stolen anchoring key is replaced; what it anchored can be contested.
    function testAnchorerIsReplaced() public {
        vm.expectRevert(_notAllowed(anchorer, guardian));
        vm.prank(anchorer);
        anchors.setAnchorer(anchorer);
        vm.startPrank(guardian);
        vm.expectRevert(abi.encodeWithSelector(IAnchorRegistry.AddressZero.selector));
        anchors.setAnchorer(address(0));
        anchors.setAnchorer(stranger);
        vm.stopPrank();
        vm.expectRevert(_notAllowed(anchorer, stranger));
        vm.prank(anchorer);
        anchors.anchor(1, "root", 1);
        vm.prank(stranger);
        anchors.anchor(1, "root", 1);
    }

    function testDeployRefusals() public {
        vm.expectRevert(abi.encodeWithSelector(IAnchorRegistry.AddressZero.selector));
        new AnchorRegistry(address(0), guardian, WINDOW_S);
        vm.expectRevert(abi.encodeWithSelector(IAnchorRegistry.AddressZero.selector));
        new AnchorRegistry(anchorer, address(0), WINDOW_S);
        uint32 max = 30 days;
        vm.expectRevert(abi.encodeWithSelector(IAnchorRegistry.WindowOutOfBounds.selector, 0, 1, max));
        new AnchorRegistry(anchorer, guardian, 0);
        vm.expectRevert(abi.encodeWithSelector(IAnchorRegistry.WindowOutOfBounds.selector, max + 1, 1, max));
        new AnchorRegistry(anchorer, guardian, max + 1);
    }

    function _anchor(uint64 interval) private returns (IAnchorRegistry.Anchor memory) {
        vm.prank(anchorer);
        anchors.anchor(interval, bytes32(uint256(interval)), 2);
        return IAnchorRegistry.Anchor(bytes32(uint256(interval)), 2, uint64(block.timestamp));
    }

    function _contest(uint64 interval, IAnchorRegistry.Anchor memory one) private {
        vm.prank(guardian);
        anchors.contest(interval, one, "batch withheld");
    }

    function _expectState(uint64 interval, IAnchorRegistry.Anchor memory one, IAnchorRegistry.State state)
        private
        view
    {
        assertEq(uint256(anchors.stateOf(interval, one)), uint256(state), "state");
    }

    function _notAllowed(address caller, address wanted) private pure returns (bytes memory) {
        return abi.encodeWithSelector(IAnchorRegistry.CallerNotAllowed.selector, caller, wanted);
    }
}

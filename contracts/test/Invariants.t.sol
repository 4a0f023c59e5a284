// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {FrameProof, Terms} from "../src/Settlement.sol";
import {IPenaltyEscrow} from "../src/interfaces/IPenaltyEscrow.sol";
import {FrameHandler, InvariantBase} from "./InvariantBase.sol";

/// @dev Acts at random on one vault and escrow: a carrier, two shippers, gateway, anchorer, guardian and time.
contract Handler is FrameHandler {
    uint256 private constant AGREEMENTS_MAX = 12;

    string[2] private names = ["shipper", "second shipper"];
    bytes32[] private ids;
    mapping(bytes32 id => Terms) private termsOf;
    mapping(bytes32 id => mapping(uint256 leg => uint256)) private concludedCount;
    mapping(bytes32 id => mapping(bytes32 frame => uint256)) private usedCount;
    mapping(address shipper => uint256) private withdrawn;
    uint256 public minted;
    uint256 public paidFromUnfinal;
    uint256 public doneTwice;

    function setUp() public override {
        super.setUp();
        _admitSmall(address(escrow), OUTFLOW_MAX, 90 days);
    }

    // ---- Acts

    function deposit(uint256 amount) external {
        amount = bound(amount, 1, 2 * BOND);
        minted += amount;
        _deposit(amount);
    }

    /// @dev Now and then more than there is.
    function reclaim(uint256 amount) external {
        amount = bound(amount, 1, _free() + _free() / 4 + 1);
        vm.prank(carrier);
        vault.reclaim(address(escrow), address(token), amount, carrier);
        ++reached["reclaim"];
    }

    function withdraw(uint256 who, uint256 amount) external {
        address one = actor(names[who % 2]);
        if (_credit(one) == 0) one = actor(names[(who + 1) % 2]);
        _withdraw(one, bound(amount, 1, _credit(one) + 1));
        ++reached["withdraw"];
    }

    /// @dev Mostly deposited for before.
    function open(uint256 who, uint256 bond, uint256 legCap, uint256 threshold, uint256 amount) external {
        if (ids.length == AGREEMENTS_MAX) return;
        Terms memory terms = _terms(
            _tiers(
                _tier(0, 9, 3 * HOUR_MS, BOND / 2),
                _tier(1, 1, uint128(bound(threshold, 0, 4 * HOUR_MS)), uint128(bound(amount, 1, 2 * BOND)))
            )
        );
        terms.shipper = actor(names[who % 2]);
        terms.bond = uint128(bound(bond, bond % 2 == 0 ? BOND / 2 : 1, BOND));
        terms.legCap = legCap % 2 == 0 ? terms.bond : uint128(bound(legCap, 1, terms.bond));
        (terms.salt, terms.windowS) = (uint128(ids.length), 10 days);
        terms.legs = LEG < SECOND_LEG ? _legs(LEG, SECOND_LEG) : _legs(SECOND_LEG, LEG);
        for (uint256 i = 0; i < 2; ++i) {
            (terms.legs[i].deadlineS, terms.legs[i].dueMs) = (uint64(block.timestamp + (i + 1) * 5 days), 0);
        }
        if (who % 8 > 1 && _free() < terms.bond) {
            minted += terms.bond;
            _deposit(terms.bond);
        }
        bytes32 id = escrow.agreementId(terms);
        if (amount % 8 == 0) return _cancelAndOpen(terms, names[who % 2]);
        escrow.open(terms, _sign("carrier", id), _sign(names[who % 2], id));
        ids.push(id);
        _keep(termsOf[id], terms);
        ++reached["open"];
    }

    function settle(uint256 which, uint256 leg, uint256 frame) external {
        (bytes32 id, FrameProof memory proof) = _pick(which, leg % 2, frame, 2);
        _waitFor(proof, which);
        bool isFinal = anchors.isFinal(proof.interval, proof.anchored);
        uint96 owedBefore = escrow.agreementOf(id).owed;
        escrow.settle(termsOf[id], leg % 2, proof);
        if (!isFinal) ++paidFromUnfinal;
        if (++usedCount[id][keccak256(proof.header)] > 1) ++doneTwice;
        _concluded(id, leg % 2, owedBefore);
        ++reached["settle"];
    }

    function show(uint256 which, uint256 leg, uint256 frame) external {
        (bytes32 id, FrameProof memory proof) = _pick(which, leg % 2, frame, 1);
        for (uint256 i = 0; frame % 3 != 0 && i < ids.length && !_isShown(id, leg % 2); ++i) {
            id = _live(8 * i + 1, leg % 2);
        }
        _waitFor(proof, which);
        if (which % 3 != 0) _warpTo(termsOf[id].legs[leg % 2].deadlineS);
        bool isFinal = anchors.isFinal(proof.interval, proof.anchored);
        bool isShown = _isShown(id, leg % 2);
        escrow.show(termsOf[id], leg % 2, proof);
        if (!isFinal) ++paidFromUnfinal;
        if (++usedCount[id][keccak256(proof.header)] > 1) ++doneTwice;
        ++reached[isShown ? "replace" : "show"];
    }

    function finish(uint256 which, uint256 leg) external {
        _finish(_live(which, leg % 2), leg % 2, which % 5 < 2);
    }

    /// @dev Mostly of an agreement that is owed, after a while.
    function pay(uint256 which, uint256 patience) external {
        bytes32 id = ids[which % ids.length];
        for (uint256 i = 0; which % 4 != 0 && i < ids.length && escrow.agreementOf(id).owed == 0; ++i) {
            id = ids[(which / 4 + i) % ids.length];
        }
        if (patience % 2 == 0) vm.warp(block.timestamp + bound(patience, 1, 5 days));
        escrow.pay(termsOf[id]);
        ++reached[escrow.agreementOf(id).owed == 0 ? "pay" : "pay a part"];
    }

    // ---- What must hold

    /// @notice What the vault owes: the carrier's deposit and everyone's credits.
    function owed() external view returns (uint256) {
        return _free() + _locked() + _credit(carrier) + _credit(actor(names[0])) + _credit(actor(names[1]));
    }

    function held() external view returns (uint256) {
        return token.balanceOf(address(vault));
    }

    /// @notice Locked is what agreements can still cost: the bond less penalties while open, and what is owed.
    function lockedIsWhatAgreementsNeed() external view returns (bool) {
        uint256 needed = 0;
        for (uint256 i = 0; i < ids.length; ++i) {
            IPenaltyEscrow.Agreement memory agreement = escrow.agreementOf(ids[i]);
            needed += agreement.owed;
            if (agreement.state == IPenaltyEscrow.State.Open) {
                needed += termsOf[ids[i]].bond - agreement.penalty;
            }
        }
        return needed == _locked();
    }

    /// @notice Within the bond and the legs' caps, and shippers have been credited penalties less what is owed.
    function penaltiesAreBoundAndCredited() external view returns (bool) {
        uint256[2] memory due;
        for (uint256 i = 0; i < ids.length; ++i) {
            IPenaltyEscrow.Agreement memory agreement = escrow.agreementOf(ids[i]);
            Terms storage terms = termsOf[ids[i]];
            uint256 legs = (agreement.concluded & 1) + (agreement.concluded >> 1);
            if (agreement.penalty > terms.bond || agreement.penalty > legs * terms.legCap) return false;
            due[terms.shipper == actor(names[0]) ? 0 : 1] += agreement.penalty - agreement.owed;
        }
        for (uint256 i = 0; i < 2; ++i) {
            address one = actor(names[i]);
            if (due[i] != _credit(one) + withdrawn[one]) return false;
        }
        return true;
    }

    /// @notice After everything, each leg can be finished, what is owed is paid, and everyone takes out all that is theirs.
    function leaveAll() external {
        for (uint256 i = 0; i < ids.length; ++i) {
            _end(i);
        }
        uint256 free = _free();
        if (free != 0) {
            vm.prank(carrier);
            vault.reclaim(address(escrow), address(token), free, carrier);
        }
        uint256 total = token.balanceOf(carrier);
        for (uint256 i = 0; i < 2; ++i) {
            address one = actor(names[i]);
            if (_credit(one) != 0) _withdraw(one, _credit(one));
            total += token.balanceOf(one);
        }
        assertEq(token.balanceOf(address(vault)), 0, "nothing stays behind");
        assertEq(total, minted, "nothing is lost");
    }

    // ---- Help

    /// @dev Taken back by either, terms are opened by nobody.
    function _cancelAndOpen(Terms memory terms, string memory name) private {
        bytes32 id = escrow.agreementId(terms);
        if (escrow.agreementOf(id).state == IPenaltyEscrow.State.None) {
            vm.prank(terms.bond % 2 == 0 ? carrier : terms.shipper);
            escrow.cancel(terms);
            ++reached["cancel"];
        }
        try escrow.open(terms, _sign("carrier", id), _sign(name, id)) {
            ++doneTwice;
        } catch {}
    }

    /// @dev Both legs finished, and what is owed paid as the vault lets it out.
    function _end(uint256 which) private {
        bytes32 id = ids[which];
        vm.warp(block.timestamp + 60 days);
        for (uint256 leg = 0; leg < 2; ++leg) {
            if (escrow.agreementOf(id).concluded >> leg & 1 == 0) _finish(id, leg, true);
        }
        for (uint256 tries = 0; escrow.agreementOf(id).owed != 0 && tries < 8; ++tries) {
            vm.warp(block.timestamp + 15 days);
            escrow.pay(termsOf[id]);
        }
    }

    function _finish(bytes32 id, uint256 leg, bool waits) private {
        if (waits) _warpTo(uint256(termsOf[id].legs[leg].deadlineS) + termsOf[id].windowS);
        IPenaltyEscrow.Agreement memory before = escrow.agreementOf(id);
        escrow.finish(termsOf[id], leg);
        _concluded(id, leg, before.owed);
        ++reached["finish"];
        bool costs = escrow.agreementOf(id).penalty > before.penalty;
        if (costs && !_isShown(id, leg)) ++reached["silence"];
    }

    function _pick(uint256 which, uint256 leg, uint256 frame, uint8 legState)
        private
        view
        returns (bytes32 id, FrameProof memory proof)
    {
        id = _live(which, leg);
        proof = _likely(frame, legState, termsOf[id].legs[leg].legId);
    }

    /// @dev Mostly an agreement of which this leg has not concluded, if there is one.
    function _live(uint256 which, uint256 leg) private view returns (bytes32 id) {
        for (uint256 i = 0; which % 8 != 0 && i < ids.length; ++i) {
            id = ids[(which / 8 + i) % ids.length];
            if (escrow.agreementOf(id).concluded >> leg & 1 == 0) return id;
        }
        return ids[which % ids.length];
    }

    function _isShown(bytes32 id, uint256 leg) private view returns (bool) {
        return escrow.shownOf(id, leg).isShown;
    }

    function _concluded(bytes32 id, uint256 leg, uint96 owedBefore) private {
        if (++concludedCount[id][leg] > 1) ++doneTwice;
        if (escrow.agreementOf(id).owed > owedBefore) ++reached["owed"];
    }

    function _withdraw(address one, uint256 amount) private {
        vm.prank(one);
        vault.withdraw(address(token), amount, one);
        withdrawn[one] += amount;
    }
}

/// @notice Over any sequence of acts: money is conserved, paid once, from final evidence, and can leave.
contract InvariantsTest is InvariantBase {
    Handler private handler;

    function setUp() public override {
        handler = new Handler();
        handler.setUp();
    }

    /// @dev One campaign for all: each act is followed by every question.
    function invariant_Money() external view {
        assertEq(handler.held(), handler.owed(), "the vault holds what it owes");
        assertTrue(handler.lockedIsWhatAgreementsNeed(), "locked is what agreements need");
        assertTrue(handler.penaltiesAreBoundAndCredited(), "within bond and caps, and credited");
        assertEq(handler.doneTwice(), 0, "each leg once, each frame once an agreement");
        assertEq(handler.paidFromUnfinal(), 0, "from final evidence");
    }

    function afterInvariant() external {
        assertTrue(handler.anchorsAreAsAnchored(), "anchors never change");
        handler.leaveAll();
    }

    function _acts() internal view override returns (address, bytes4[] memory selectors) {
        // Signed twice as often as the rest, for enough frames.
        selectors = new bytes4[](12);
        selectors[0] = Handler.deposit.selector;
        selectors[1] = Handler.reclaim.selector;
        selectors[2] = Handler.withdraw.selector;
        selectors[3] = Handler.open.selector;
        selectors[4] = FrameHandler.sign.selector;
        selectors[5] = FrameHandler.contest.selector;
        selectors[6] = Handler.settle.selector;
        selectors[7] = Handler.show.selector;
        selectors[8] = Handler.finish.selector;
        selectors[9] = Handler.pay.selector;
        selectors[10] = FrameHandler.wait.selector;
        selectors[11] = FrameHandler.sign.selector;
        return (address(handler), selectors);
    }

    function _paths() internal pure override returns (string[] memory paths) {
        paths = new string[](15);
        (paths[0], paths[1], paths[2], paths[3]) = ("open", "settle", "show", "replace");
        (paths[4], paths[5], paths[6], paths[7]) = ("finish", "silence", "owed", "pay");
        (paths[8], paths[9], paths[10], paths[11]) = ("pay a part", "withdraw", "reclaim", "contest");
        (paths[12], paths[13], paths[14]) = ("void", "upheld", "cancel");
    }
}

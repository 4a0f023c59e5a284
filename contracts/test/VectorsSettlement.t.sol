// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {FrameCodec} from "../src/FrameCodec.sol";
import {GatewayRegistry} from "../src/GatewayRegistry.sol";
import {LegEvidence} from "../src/LegEvidence.sol";
import {Metrics} from "../src/Metrics.sol";
import {Rfc9162} from "../src/Rfc9162.sol";
import {Leg, RunProof, Terms, Tier} from "../src/Settlement.sol";
import {TermsCodec} from "../src/TermsCodec.sol";
import {IAnchorRegistry} from "../src/interfaces/IAnchorRegistry.sol";
import {IGatewayRegistry} from "../src/interfaces/IGatewayRegistry.sol";
import {Base} from "./Base.sol";
import {NaiveTree} from "./NaiveTree.sol";

/// @dev What a product does with totals, without the frame around them.
contract Judge is LegEvidence {
    constructor(IGatewayRegistry gateways_) LegEvidence(gateways_, IAnchorRegistry(address(0))) {}

    function structHash(Terms calldata terms) external pure returns (bytes32) {
        return TermsCodec.hash(terms);
    }

    function byChannels(
        Terms calldata terms,
        uint256 index,
        FrameCodec.Header memory header,
        RunProof[] calldata runs
    ) external view returns (Due memory) {
        Sight memory sight = _sightOf(terms.legs[index], header, terms.uncertaintyMaxMilli);
        return _dueOfChannels(terms.tiers, runs, header, sight);
    }

    function heardMs(Leg calldata leg, uint64 shownMs) external pure returns (uint64) {
        return _heardMs(leg, shownMs);
    }

    function byLeg(Due memory due, Tier[] calldata tiers, uint256 lateMs, uint256 silenceMs)
        external
        pure
        returns (Due memory)
    {
        _addLeg(due, tiers, lateMs, silenceMs);
        return due;
    }
}

/// @notice Solidity hashes terms and judges totals as the frozen vectors and Python do.
contract VectorsSettlementTest is Base {
    GatewayRegistry private gateways = new GatewayRegistry(address(1));
    Judge private judge = new Judge(gateways);
    string private json = vm.readFile("../tests/vectors/settlement2.json");

    function testTermsHashes() public view {
        uint256 cases = 0;
        for (; vm.keyExistsJson(json, _at(".terms", cases)); ++cases) {
            string memory place = _at(".terms", cases);
            if (bytes(vm.parseJsonString(json, string.concat(place, ".error"))).length != 0) break;
            Terms memory terms = abi.decode(vm.parseJsonBytes(json, string.concat(place, ".bytes")), (Terms));
            bytes32 wanted = vm.parseJsonBytes32(json, string.concat(place, ".struct_hash"));
            assertEq(judge.structHash(terms), wanted, place);
        }
        assertTrue(cases > 4, "too few cases");
    }

    function testDue() public {
        uint256 cases = 0;
        for (; vm.keyExistsJson(json, _at(".due", cases)); ++cases) {
            string memory place = _at(".due", cases);
            Terms memory terms = abi.decode(vm.parseJsonBytes(json, string.concat(place, ".terms")), (Terms));
            uint256 left = terms.bond;
            string memory legs = string.concat(place, ".legs");
            for (uint256 i = 0; vm.keyExistsJson(json, _at(legs, i)); ++i) {
                left -= _checkLeg(terms, left, _at(legs, i), i + 1 == terms.legs.length);
            }
        }
        assertTrue(cases > 20, "too few cases");
    }

    function _checkLeg(Terms memory terms, uint256 left, string memory place, bool isLast)
        private
        returns (uint256 penalty)
    {
        LegEvidence.Due memory due = _due(terms, place);
        penalty = due.amount < terms.legCap ? due.amount : terms.legCap;
        if (penalty > left) penalty = left;
        assertEq(due.reached, _reached(place), place);
        assertEq(penalty, _number(place, ".penalty"), place);
        assertEq(isLast ? left - penalty : 0, _number(place, ".rest"), place);
    }

    /// @dev As of `settle`, of `show` and `finish`, or of `finish` alone.
    function _due(Terms memory terms, string memory place) private returns (LegEvidence.Due memory due) {
        uint256 index = _number(place, ".leg");
        Leg memory leg = terms.legs[index];
        bytes32 frame = keccak256(bytes(vm.parseJsonString(json, string.concat(place, ".frame"))));
        FrameCodec.Header memory header;
        (header.gatewayId, header.sentMs) = (leg.gatewayId, uint64(_number(place, ".sent_ms")));
        if (frame != keccak256("none")) {
            RunProof[] memory runs = _runs(terms.tiers, header, place);
            due = judge.byChannels(terms, index, header, runs);
        }
        uint256 deadlineMs = uint256(leg.deadlineS) * 1000;
        if (frame == keccak256("closing")) {
            return judge.byLeg(due, terms.tiers, Metrics.positive(header.sentMs, leg.dueMs), 0);
        }
        // A frame that was not shown has 0.
        uint64 heardMs = judge.heardMs(leg, header.sentMs);
        return judge.byLeg(
            due, terms.tiers, Metrics.positive(deadlineMs, leg.dueMs), Metrics.positive(deadlineMs, heardMs)
        );
    }

    /// @dev The tiers' channels, each once, with their certificates as the registry's answers.
    function _runs(Tier[] memory tiers, FrameCodec.Header memory header, string memory place)
        private
        returns (RunProof[] memory runs)
    {
        runs = new RunProof[](tiers.length);
        uint256 count = 0;
        uint256 previous = 0;
        for (uint256 i = 0; i < tiers.length; ++i) {
            if (Metrics.isOfLeg(tiers[i].metric) || tiers[i].channel == previous) continue;
            previous = tiers[i].channel;
            runs[count++].record = _record(tiers[i].channel, place);
            _answer(header, tiers[i].channel, place);
        }
        assembly ("memory-safe") {
            mstore(runs, count)
        }
        bytes32[] memory leaves = new bytes32[](count);
        for (uint256 i = 0; i < count; ++i) {
            leaves[i] = NaiveTree.hashLeaf(runs[i].record);
        }
        for (uint256 i = 0; i < count; ++i) {
            (runs[i].index, runs[i].siblings) = (uint64(i), NaiveTree.path(leaves, i));
        }
        (header.runCount, header.runsRoot) = (uint16(count), NaiveTree.root(leaves));
    }

    /// @dev An empty run with the channel's totals.
    function _record(uint256 channel, string memory place) private view returns (bytes memory) {
        string memory list = string.concat(place, ".totals");
        uint256 i = 0;
        while (_number(_at(list, i), ".channel") != channel) ++i;
        bytes memory totals = vm.parseJsonBytes(json, string.concat(_at(list, i), ".bytes"));
        uint256 word = uint256(bytes32(totals));
        uint64 nextSeq = uint64(word >> 192) + uint32(word >> 160);
        bytes memory head = abi.encodePacked(uint8(2), uint16(channel), uint16(1), nextSeq, uint32(0));
        return abi.encodePacked(head, uint128(0), Rfc9162.EMPTY_ROOT, totals);
    }

    function _answer(FrameCodec.Header memory header, uint16 channel, string memory place) private {
        bytes memory question =
            abi.encodeCall(IGatewayRegistry.calibrationAt, (header.gatewayId, channel, header.sentMs));
        string memory list = string.concat(place, ".certificates");
        for (uint256 i = 0; vm.keyExistsJson(json, _at(list, i)); ++i) {
            if (_number(_at(list, i), ".channel") != channel) continue;
            uint32 uncertainty = uint32(_number(_at(list, i), ".uncertainty_milli"));
            vm.mockCall(
                address(gateways), question, abi.encode(IGatewayRegistry.Calibration("", 0, 0, uncertainty))
            );
            return;
        }
        vm.mockCallRevert(
            address(gateways),
            question,
            abi.encodeWithSelector(
                IGatewayRegistry.CalibrationUnknown.selector, header.gatewayId, channel, header.sentMs
            )
        );
    }

    function _reached(string memory place) private view returns (uint256 bits) {
        string memory list = string.concat(place, ".reached");
        for (uint256 i = 0; vm.keyExistsJson(json, _at(list, i)); ++i) {
            bits |= 1 << vm.parseJsonUint(json, _at(list, i));
        }
    }

    function _number(string memory place, string memory name) private view returns (uint256) {
        return vm.parseJsonUint(json, string.concat(place, name));
    }

    function _at(string memory list, uint256 i) private pure returns (string memory) {
        return string.concat(list, "[", vm.toString(i), "]");
    }
}

// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {FrameCodec} from "../src/FrameCodec.sol";
import {GatewayRegistry} from "../src/GatewayRegistry.sol";
import {LegEvidence} from "../src/LegEvidence.sol";
import {Metrics} from "../src/Metrics.sol";
import {Rfc9162} from "../src/Rfc9162.sol";
import {Leg, RunProof, Tier} from "../src/Settlement.sol";
import {IAnchorRegistry} from "../src/interfaces/IAnchorRegistry.sol";
import {IGatewayRegistry} from "../src/interfaces/IGatewayRegistry.sol";
import {Base} from "./Base.sol";
import {NaiveTree} from "./NaiveTree.sol";

/// @dev What a product does with totals, without the frame around them.
contract Judge is LegEvidence {
    constructor(IGatewayRegistry gateways_) LegEvidence(gateways_, IAnchorRegistry(address(0))) {}

    function byChannels(
        Tier[] calldata tiers,
        Leg calldata leg,
        uint32 uncertaintyMaxMilli,
        uint64 sinceMs,
        FrameCodec.Header memory header,
        RunProof[] calldata runs
    ) external view returns (Due memory) {
        Sight memory sight = _sightOf(leg, header, uncertaintyMaxMilli);
        sight.sinceMs = sinceMs;
        return _dueOfChannels(tiers, runs, header, sight);
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

/// @notice Judges the frames and totals of a file of vectors, `json`.
abstract contract VectorsBase is Base {
    GatewayRegistry internal gateways = new GatewayRegistry(address(1));
    Judge internal judge = new Judge(gateways);
    string internal json;

    /// @dev As of `settle`, of `show` and `finish`, or of `finish` alone.
    function _due(
        Tier[] memory tiers,
        Leg memory leg,
        uint32 uncertaintyMaxMilli,
        uint64 sinceMs,
        string memory place
    ) internal returns (LegEvidence.Due memory due) {
        bytes32 frame = keccak256(bytes(vm.parseJsonString(json, string.concat(place, ".frame"))));
        FrameCodec.Header memory header;
        (header.gatewayId, header.sentMs) = (leg.gatewayId, uint64(_number(place, ".sent_ms")));
        if (frame != keccak256("none")) {
            RunProof[] memory runs = _runs(tiers, header, place);
            due = judge.byChannels(tiers, leg, uncertaintyMaxMilli, sinceMs, header, runs);
        }
        uint256 deadlineMs = uint256(leg.deadlineS) * 1000;
        if (frame == keccak256("closing")) {
            return judge.byLeg(due, tiers, Metrics.positive(header.sentMs, leg.dueMs), 0);
        }
        // A frame that was not shown has 0.
        uint64 heardMs = judge.heardMs(leg, header.sentMs);
        return judge.byLeg(
            due, tiers, Metrics.positive(deadlineMs, leg.dueMs), Metrics.positive(deadlineMs, heardMs)
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

    function _reached(string memory place) internal view returns (uint256 bits) {
        string memory list = string.concat(place, ".reached");
        for (uint256 i = 0; vm.keyExistsJson(json, _at(list, i)); ++i) {
            bits |= 1 << vm.parseJsonUint(json, _at(list, i));
        }
    }

    function _number(string memory place, string memory name) internal view returns (uint256) {
        return vm.parseJsonUint(json, string.concat(place, name));
    }

    function _at(string memory list, uint256 i) internal pure returns (string memory) {
        return string.concat(list, "[", vm.toString(i), "]");
    }
}

// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Policy} from "../src/Insurance.sol";
import {LegEvidence} from "../src/LegEvidence.sol";
import {Metrics} from "../src/Metrics.sol";
import {PolicyCodec} from "../src/PolicyCodec.sol";
import {VectorsBase} from "./VectorsBase.sol";

/// @dev Policies as calldata.
contract PolicyHasher {
    function structHash(Policy calldata policy) external pure returns (bytes32) {
        return PolicyCodec.hash(policy);
    }
}

/// @notice Solidity hashes policies and judges totals for them as the frozen vectors and Python do.
contract VectorsCoverTest is VectorsBase {
    PolicyHasher private hasher = new PolicyHasher();

    constructor() {
        json = vm.readFile("../tests/vectors/cover.json");
    }

    function testPolicyHashes() public view {
        uint256 cases = 0;
        for (; vm.keyExistsJson(json, _at(".policies", cases)); ++cases) {
            string memory place = _at(".policies", cases);
            if (bytes(vm.parseJsonString(json, string.concat(place, ".error"))).length != 0) break;
            bytes32 wanted = vm.parseJsonBytes32(json, string.concat(place, ".struct_hash"));
            assertEq(hasher.structHash(_policy(place, ".bytes")), wanted, place);
        }
        assertTrue(cases > 3, "too few cases");
    }

    function testPayouts() public {
        uint256 cases = 0;
        for (; vm.keyExistsJson(json, _at(".payouts", cases)); ++cases) {
            string memory place = _at(".payouts", cases);
            Policy memory policy = _policy(place, ".policy");
            LegEvidence.Due memory due =
                _due(policy.tiers, policy.leg, policy.uncertaintyMaxMilli, policy.startS * 1000, place);
            uint256 payout = Metrics.positive(due.amount, policy.deductible);
            if (payout > policy.maximum) payout = policy.maximum;
            assertEq(due.reached, _reached(place), place);
            assertEq(payout, _number(place, ".payout"), place);
        }
        assertTrue(cases > 15, "too few cases");
    }

    function _policy(string memory place, string memory name) private view returns (Policy memory) {
        return abi.decode(vm.parseJsonBytes(json, string.concat(place, name)), (Policy));
    }
}

// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {P256} from "@openzeppelin/contracts/utils/cryptography/P256.sol";
import {FrameCodec} from "../src/FrameCodec.sol";
import {Rfc9162} from "../src/Rfc9162.sol";
import {Base} from "./Base.sol";
import {Encode} from "./Encode.sol";
import {NaiveTree} from "./NaiveTree.sol";

/// @dev The libraries' functions behind calls, so that a revert can be caught.
contract Decoders {
    function inclusion(bytes32 leaf, uint256 index, uint256 count, bytes32[] calldata siblings, bytes32 root)
        external
        view
    {
        Rfc9162.verifyInclusion(leaf, index, count, siblings, root);
    }

    function header(bytes calldata data) external pure returns (FrameCodec.Header memory decoded) {
        FrameCodec.decodeHeader(data, decoded);
    }

    function run(bytes calldata data) external pure returns (FrameCodec.RunRecord memory decoded) {
        FrameCodec.decodeRun(data, decoded);
    }

    function legRun(bytes calldata data) external pure returns (FrameCodec.RunRecord memory decoded) {
        FrameCodec.decodeLegRun(data, decoded);
    }

    function batchLeaf(bytes calldata data) external pure returns (FrameCodec.BatchLeaf memory) {
        return FrameCodec.decodeBatchLeaf(data);
    }

    function frameHash(bytes calldata data) external view returns (bytes32 hash) {
        (hash,) = FrameCodec.frameHashes(data);
    }

    function signedDigest(bytes calldata data) external view returns (bytes32 digest) {
        (, digest) = FrameCodec.frameHashes(data);
    }

    function leafHash(bytes calldata data) external view returns (bytes32) {
        return FrameCodec.leafHash(data);
    }
}

/// @notice Solidity accepts and refuses what Python and JavaScript do: the frozen files of tests/vectors.
contract VectorsTest is Base {
    Decoders private decoders = new Decoders();

    function testTreeRoots() public view {
        string memory json = _read("tree");
        uint256 cases = _count(json, ".roots");
        for (uint256 i = 0; i < cases; ++i) {
            string memory at = _at(".roots", i);
            bytes32[] memory leaves = vm.parseJsonBytes32Array(json, _key(at, "leaf_hashes"));
            assertEq(NaiveTree.root(leaves), vm.parseJsonBytes32(json, _key(at, "root")), at);
        }
        assertTrue(cases > 20, "too few cases");
    }

    function testTreeInclusion() public view {
        string memory json = _read("tree");
        uint256 cases = _count(json, ".inclusion");
        for (uint256 i = 0; i < cases; ++i) {
            _checkInclusion(json, _at(".inclusion", i));
        }
        assertTrue(cases > 100, "too few cases");
    }

    function testHeaders() public view {
        string memory json = _read("frame");
        uint256 cases = _count(json, ".headers");
        for (uint256 i = 0; i < cases; ++i) {
            string memory at = _at(".headers", i);
            bytes memory data = vm.parseJsonBytes(json, _key(at, "bytes"));
            bool isGood = _isGood(json, at);
            try decoders.header(data) returns (FrameCodec.Header memory header) {
                assertTrue(isGood, at);
                assertEq(keccak256(Encode.header(header)), keccak256(data), at);
                _checkHeader(header, json, at);
            } catch {
                assertTrue(!isGood, at);
            }
        }
        assertTrue(cases > 20, "too few cases");
    }

    function testRunRecords() public view {
        string memory json = _read("frame");
        uint256 cases = _count(json, ".records");
        for (uint256 i = 0; i < cases; ++i) {
            string memory at = _at(".records", i);
            bytes memory data = vm.parseJsonBytes(json, _key(at, "bytes"));
            bool isGood = _isGood(json, at);
            try decoders.run(data) returns (FrameCodec.RunRecord memory run) {
                assertTrue(isGood, at);
                assertEq(keccak256(Encode.run(run)), keccak256(data), at);
                assertEq(run.channel, vm.parseJsonUint(json, _key(at, "channel")), at);
                assertEq(run.count, vm.parseJsonUint(json, _key(at, "count")), at);
                assertEq(run.totals.count, vm.parseJsonUint(json, _key(at, "totals_count")), at);
                assertEq(decoders.leafHash(data), vm.parseJsonBytes32(json, _key(at, "leaf_hash")), at);
            } catch {
                assertTrue(!isGood, at);
            }
        }
        assertTrue(cases > 9, "too few cases");
    }

    /// @notice Of accepted frames, header, frame hash and every run record decode.
    function testFrames() public view {
        string memory json = _read("frame");
        uint256 cases = _count(json, ".frames");
        for (uint256 i = 0; i < cases; ++i) {
            string memory at = _at(".frames", i);
            if (!_isGood(json, at)) continue;
            bytes memory header = vm.parseJsonBytes(json, _key(at, "header"));
            assertEq(decoders.frameHash(header), vm.parseJsonBytes32(json, _key(at, "frame_hash")), at);
            uint8 legState = decoders.header(header).legState;
            uint256 runs = _count(json, _key(at, "runs"));
            for (uint256 k = 0; k < runs; ++k) {
                bytes memory record = vm.parseJsonBytes(json, _key(_at(_key(at, "runs"), k), "record"));
                if (legState == 0) decoders.run(record);
                else decoders.legRun(record);
            }
        }
        assertTrue(cases > 50, "too few cases");
    }

    function testBatchLeaves() public view {
        string memory json = _read("batch");
        uint256 cases = _count(json, ".leaves");
        for (uint256 i = 0; i < cases; ++i) {
            string memory at = _at(".leaves", i);
            bytes memory data = vm.parseJsonBytes(json, _key(at, "bytes"));
            bool isGood = _isGood(json, at);
            try decoders.batchLeaf(data) returns (FrameCodec.BatchLeaf memory leaf) {
                assertTrue(isGood, at);
                assertEq(keccak256(Encode.batchLeaf(leaf)), keccak256(data), at);
                assertEq(leaf.tenant, vm.parseJsonBytes32(json, _key(at, "tenant")), at);
                assertEq(leaf.frameCount, vm.parseJsonUint(json, _key(at, "frame_count")), at);
                assertEq(decoders.leafHash(data), vm.parseJsonBytes32(json, _key(at, "leaf_hash")), at);
            } catch {
                assertTrue(!isGood, at);
            }
        }
        assertTrue(cases > 10, "too few cases");
    }

    function testSuperRoots() public view {
        string memory json = _read("batch");
        uint256 cases = _count(json, ".super_roots");
        for (uint256 i = 0; i < cases; ++i) {
            string memory at = _at(".super_roots", i);
            uint256 count = _count(json, _key(at, "leaves"));
            uint256 index = vm.parseJsonUint(json, _key(at, "index"));
            bytes memory leaf = vm.parseJsonBytes(json, _at(_key(at, "leaves"), index));
            decoders.inclusion(
                decoders.leafHash(leaf),
                index,
                count,
                vm.parseJsonBytes32Array(json, _key(at, "siblings")),
                vm.parseJsonBytes32(json, _key(at, "super_root"))
            );
        }
        assertTrue(cases != 0, "too few cases");
    }

    /// @notice What the escrow does with a signature: registered keys are points, s is low.
    function testSignatures() public view {
        string memory json = _read("signature");
        uint256 cases = _count(json, ".cases");
        for (uint256 i = 0; i < cases; ++i) {
            string memory at = _at(".cases", i);
            bytes32 x = vm.parseJsonBytes32(json, _key(at, "x"));
            bytes32 y = vm.parseJsonBytes32(json, _key(at, "y"));
            bytes32 r = vm.parseJsonBytes32(json, _key(at, "r"));
            bytes32 s = vm.parseJsonBytes32(json, _key(at, "s"));
            bytes32 digest = sha256(vm.parseJsonBytes(json, _key(at, "message")));
            bool isGood = P256.isValidPublicKey(x, y) && P256.verify(digest, r, s, x, y);
            assertTrue(isGood == vm.parseJsonBool(json, _key(at, "valid")), at);
        }
        assertTrue(cases > 20, "too few cases");
    }

    function _checkInclusion(string memory json, string memory at) private view {
        bytes4 wanted = _errorOf(vm.parseJsonString(json, _key(at, "error")));
        bytes32[] memory siblings = vm.parseJsonBytes32Array(json, _key(at, "siblings"));
        try decoders.inclusion(
            vm.parseJsonBytes32(json, _key(at, "leaf_hash")),
            vm.parseJsonUint(json, _key(at, "index")),
            vm.parseJsonUint(json, _key(at, "count")),
            siblings,
            vm.parseJsonBytes32(json, _key(at, "root"))
        ) {
            assertEq(bytes32(0), wanted, at);
        } catch (bytes memory reason) {
            assertEq(bytes4(reason), wanted, at);
        }
    }

    function _checkHeader(FrameCodec.Header memory header, string memory json, string memory at)
        private
        pure
    {
        assertEq(header.gatewayId, vm.parseJsonBytes32(json, _key(at, "gateway_id")), at);
        assertEq(header.legState, vm.parseJsonUint(json, _key(at, "leg_state")), at);
        assertEq(header.legId, vm.parseJsonBytes32(json, _key(at, "leg_id")), at);
        assertEq(header.frameSeq, vm.parseJsonUint(json, _key(at, "frame_seq")), at);
        assertEq(header.sentMs, vm.parseJsonUint(json, _key(at, "sent_ms")), at);
        assertEq(header.runsRoot, vm.parseJsonBytes32(json, _key(at, "runs_root")), at);
        assertEq(header.runCount, vm.parseJsonUint(json, _key(at, "run_count")), at);
    }

    function _errorOf(string memory code) private pure returns (bytes4) {
        bytes32 hash = keccak256(bytes(code));
        if (hash == keccak256("proof_index")) return Rfc9162.ProofIndex.selector;
        if (hash == keccak256("proof_short")) return Rfc9162.ProofShort.selector;
        if (hash == keccak256("proof_long")) return Rfc9162.ProofLong.selector;
        if (hash == keccak256("proof_root")) return Rfc9162.ProofRoot.selector;
        return 0;
    }

    function _read(string memory name) private view returns (string memory) {
        return vm.readFile(string.concat("../tests/vectors/", name, ".json"));
    }

    function _isGood(string memory json, string memory at) private pure returns (bool) {
        return bytes(vm.parseJsonString(json, _key(at, "error"))).length == 0;
    }

    function _key(string memory at, string memory name) private pure returns (string memory) {
        return string.concat(at, ".", name);
    }

    function _at(string memory list, uint256 i) private pure returns (string memory) {
        return string.concat(list, "[", vm.toString(i), "]");
    }

    function _count(string memory json, string memory list) private view returns (uint256 count) {
        while (vm.keyExistsJson(json, _at(list, count))) ++count;
    }
}

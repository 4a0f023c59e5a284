// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @dev The part of forge's cheatcodes that these tests use.
interface Vm {
    struct Log {
        bytes32[] topics;
        bytes data;
        address emitter;
    }

    function addr(uint256 key) external pure returns (address);
    function sign(uint256 key, bytes32 digest) external pure returns (uint8 v, bytes32 r, bytes32 s);
    function signP256(uint256 key, bytes32 digest) external pure returns (bytes32 r, bytes32 s);
    function publicKeyP256(uint256 key) external pure returns (uint256 x, uint256 y);
    function prank(address sender) external;
    function startPrank(address sender) external;
    function stopPrank() external;
    function warp(uint256 nowS) external;
    function chainId(uint256 id) external;
    function assume(bool condition) external pure;
    function expectRevert(bytes calldata data) external;
    function expectPartialRevert(bytes4 selector) external;
    function expectEmit(address emitter) external;
    function recordLogs() external;
    function getRecordedLogs() external returns (Log[] memory);
    function etch(address target, bytes calldata code) external;
    function mockCall(address target, bytes calldata data, bytes calldata answer) external;
    function mockCallRevert(address target, bytes calldata data, bytes calldata reason) external;
    function readFile(string calldata path) external view returns (string memory);
    function parseJsonKeys(string calldata json, string calldata key) external pure returns (string[] memory);
    function parseJsonString(string calldata json, string calldata key) external pure returns (string memory);
    function parseJsonBytes(string calldata json, string calldata key) external pure returns (bytes memory);
    function parseJsonBytes32(string calldata json, string calldata key) external pure returns (bytes32);
    function parseJsonBytes32Array(string calldata json, string calldata key)
        external
        pure
        returns (bytes32[] memory);
    function parseJsonUint(string calldata json, string calldata key) external pure returns (uint256);
    function parseJsonInt(string calldata json, string calldata key) external pure returns (int256);
    function parseJsonBool(string calldata json, string calldata key) external pure returns (bool);
    function keyExistsJson(string calldata json, string calldata key) external view returns (bool);
    function toString(uint256 value) external pure returns (string memory);
    function snapshotGasLastCall(string calldata group, string calldata name) external returns (uint256);
    function lastCallGas()
        external
        view
        returns (uint64 limit, uint64 totalUsed, uint64 memoryUsed, int64 refunded, uint64 remaining);
}

/// @dev What forge-std would give, as far as it is needed here.
abstract contract Base {
    Vm internal constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));
    bool public constant IS_TEST = true;

    error NotEqual(bytes32 found, bytes32 wanted, string what);
    error NotTrue(string what);
    error AboveMax(uint256 found, uint256 max, string what);

    function assertEq(uint256 found, uint256 wanted, string memory what) internal pure {
        require(found == wanted, NotEqual(bytes32(found), bytes32(wanted), what));
    }

    function assertEq(bytes32 found, bytes32 wanted, string memory what) internal pure {
        require(found == wanted, NotEqual(found, wanted, what));
    }

    function assertEq(address found, address wanted, string memory what) internal pure {
        assertEq(uint256(uint160(found)), uint256(uint160(wanted)), what);
    }

    function assertTrue(bool condition, string memory what) internal pure {
        require(condition, NotTrue(what));
    }

    function assertLe(uint256 found, uint256 max, string memory what) internal pure {
        require(found <= max, AboveMax(found, max, what));
    }

    /// @dev A number from min to max, both included, from any number.
    function bound(uint256 value, uint256 min, uint256 max) internal pure returns (uint256) {
        return min + value % (max - min + 1);
    }

    /// @dev An address with a name, whose key is the name's hash.
    function actor(string memory name) internal pure returns (address) {
        return vm.addr(actorKey(name));
    }

    function actorKey(string memory name) internal pure returns (uint256) {
        return uint256(keccak256(bytes(name)));
    }
}

// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {FrameCodec} from "../src/FrameCodec.sol";
import {Rfc9162} from "../src/Rfc9162.sol";
import {Base} from "./Base.sol";
import {Encode} from "./Encode.sol";
import {Decoders} from "./Vectors.t.sol";

/// @notice Each refusal by name and place; what decodes is what was encoded, whatever it was.
contract FrameCodecTest is Base {
    Decoders private decoders = new Decoders();

    function testFuzz_OnlyOneEncodingOfAHeader(bytes memory data, uint256 length) public view {
        length = bound(length, 219, 223);
        bytes memory cut = _sized(data, length);
        if (length > 1) (cut[0], cut[1]) = (0x03, 0x01);
        try decoders.header(cut) returns (FrameCodec.Header memory header) {
            assertEq(keccak256(Encode.header(header)), keccak256(cut), "round trip");
        } catch {}
    }

    function testFuzz_OnlyOneEncodingOfARun(bytes memory data, uint256 length) public view {
        length = bound(length, 205, 209);
        bytes memory cut = _sized(data, length);
        cut[0] = 0x02;
        try decoders.run(cut) returns (FrameCodec.RunRecord memory run) {
            assertEq(keccak256(Encode.run(run)), keccak256(cut), "round trip");
        } catch {}
    }

    /// @notice Every field comes out as it went in, signed ones included.
    function testFuzz_TotalsRoundTrip(FrameCodec.Totals memory totals, int32 low, uint64 knownMs)
        public
        view
    {
        FrameCodec.RunRecord memory run = _run();
        totals.firstSeq = 0;
        totals.count = uint32(run.firstSeq) + run.count;
        totals.validCount = totals.validCount % (totals.count + 1);
        totals.lastMs = run.lastTimeMs;
        totals.firstMs = totals.firstMs % (run.firstTimeMs + 1);
        totals.knownMs = uint64(bound(knownMs, 0, totals.lastMs - totals.firstMs));
        totals.unknownMs = totals.lastMs - totals.firstMs - totals.knownMs;
        totals.lastFlags = totals.lastFlags % 8;
        totals.minValue = low;
        run.totals = totals;
        FrameCodec.RunRecord memory found = decoders.run(Encode.run(run));
        assertEq(keccak256(abi.encode(found)), keccak256(abi.encode(run)), "round trip");
    }

    function testHeaderRefusals() public {
        bytes memory good = Encode.header(_header());
        decoders.header(good);
        vm.expectRevert(abi.encodeWithSelector(FrameCodec.LayoutLength.selector, 222, 221));
        decoders.header(bytes.concat(good, hex"00"));
        vm.expectRevert(abi.encodeWithSelector(FrameCodec.LayoutVersion.selector, 0x0302, 0x0301));
        decoders.header(_with(good, 1, hex"02"));
        _headerField(_with(good, 34, hex"03"), 34);
        _headerField(_with(good, 34, hex"00"), 35);
        _headerField(_with(good, 35, new bytes(32)), 35);
        _headerField(_with(good, 67, new bytes(32)), 67);
        _headerField(_with(good, 107, new bytes(32)), 107);
        _headerField(_with(good, 99, new bytes(8)), 107);
        _headerField(_with(good, 139, hex"0000e677d21fdc00"), 139);
        _headerField(_with(good, 147, hex"0000000000000001"), 155);
        _headerField(_with(good, 155, hex"01"), 155);
        _headerField(_with(good, 219, hex"0000"), 219);
        _headerField(_with(good, 219, hex"0101"), 219);
    }

    function testIdleHeaderWithoutRunsHasTheEmptyRoot() public {
        FrameCodec.Header memory header = _header();
        (header.legState, header.legId, header.limitsHash, header.runCount) = (0, 0, 0, 0);
        _headerField(Encode.header(header), 187);
        header.runsRoot = Rfc9162.EMPTY_ROOT;
        decoders.header(Encode.header(header));
    }

    function testRunRefusals() public {
        FrameCodec.RunRecord memory run = _run();
        bytes memory good = Encode.run(run);
        decoders.legRun(good);
        vm.expectRevert(abi.encodeWithSelector(FrameCodec.LayoutLength.selector, 206, 207));
        decoders.run(_sized(good, 206));
        vm.expectRevert(abi.encodeWithSelector(FrameCodec.LayoutVersion.selector, 0x0300, 0x0200));
        decoders.run(_with(good, 0, hex"03"));
        _runField(_with(good, 3, hex"0000"), 3);
        _runField(_with(good, 3, hex"000a"), 3);
        _runField(_with(good, 3, hex"7fff"), 3);
        decoders.run(_with(good, 3, hex"8000"));
        _runField(_with(good, 5, hex"ffffffffffffffff"), 5);
        _runField(_with(good, 13, hex"00010001"), 13);
        _runField(_with(good, 25, hex"0000e677d21fdc00"), 25);
        _runField(_with(good, 17, hex"0000e677d21fdbff"), 17);
        _runField(_with(good, 17, new bytes(8)), 25);
        run.count = 7000;
        _runField(Encode.run(run), 25);
        (run.count, run.totals.count) = (1, run.totals.count - 5);
        _runField(Encode.run(run), 25);
    }

    function testEmptyRunRefusals() public {
        FrameCodec.RunRecord memory run = _run();
        (run.firstSeq, run.count) = (run.firstSeq + run.count, 0);
        _runField(Encode.run(run), 17);
        run.firstTimeMs = 0;
        _runField(Encode.run(run), 25);
        run.lastTimeMs = 0;
        _runField(Encode.run(run), 33);
        run.readingsRoot = Rfc9162.EMPTY_ROOT;
        decoders.legRun(Encode.run(run));
    }

    function testTotalsRefusals() public {
        bytes memory good = Encode.run(_run());
        _runField(_with(good, 65, hex"0000000000000001"), 65);
        _runField(_with(good, 73, hex"00000005"), 73);
        _runField(_with(good, 73, new bytes(4)), 65);
        _runField(_with(good, 77, hex"0000000d"), 77);
        _runField(_with(good, 89, hex"0000000000000001"), 89);
        _runField(_with(good, 97, hex"0008"), 97);
        _runField(_with(good, 81, hex"0000e677d21fdc00"), 81);
        _runField(_with(good, 127, hex"0000000000000001"), 127);
        _runField(_with(good, 135, hex"0000000000000001"), 127);
    }

    /// @notice An idle frame's readings have no totals; a leg's always have.
    function testReadingsWithoutTotals() public {
        bytes memory idle = _with(Encode.run(_run()), 65, new bytes(142));
        decoders.run(idle);
        vm.expectRevert(abi.encodeWithSelector(FrameCodec.RunField.selector, 65));
        decoders.legRun(idle);
        _runField(_with(idle, 206, hex"01"), 65);
        _runField(_with(idle, 190, hex"01"), 65);
    }

    function testBatchLeafRefusals() public {
        bytes memory good =
            Encode.batchLeaf(FrameCodec.BatchLeaf("tenant", 2, "frames", 3, 4, 5, "previous", "location"));
        decoders.batchLeaf(good);
        vm.expectRevert(abi.encodeWithSelector(FrameCodec.LayoutLength.selector, 157, 158));
        decoders.batchLeaf(_sized(good, 157));
        vm.expectRevert(abi.encodeWithSelector(FrameCodec.LayoutVersion.selector, 0x0301, 0x0401));
        decoders.batchLeaf(_with(good, 0, hex"03"));
        _batchField(_with(good, 34, new bytes(8)), 34);
        _batchField(_with(good, 74, new bytes(4)), 74);
        _batchField(_with(good, 86, new bytes(8)), 78);
        _batchField(_with(good, 86, hex"0000e677d21fdc00"), 86);
        _batchField(_with(good, 94, new bytes(32)), 94);
        _batchField(_with(good, 34, hex"0000000000000001"), 94);
    }

    /// @notice The prefix is the specification's: 19 bytes before 221.
    function testSigStructure() public view {
        bytes memory header = Encode.header(_header());
        bytes memory message =
            bytes.concat(hex"84", hex"6a", "Signature1", hex"43a10126", hex"40", hex"58dd", header);
        assertEq(message.length, 240, "length");
        assertEq(decoders.signedDigest(header), sha256(message), "digest");
        assertEq(decoders.frameHash(header), sha256(bytes.concat(hex"00", message)), "frame hash");
    }

    function _header() private pure returns (FrameCodec.Header memory) {
        return FrameCodec.Header("gateway", 1, "leg", "limits", 7, "previous", 1000, 0, 0, "runs", 2);
    }

    function _run() private pure returns (FrameCodec.RunRecord memory run) {
        (run.channel, run.quantity, run.firstSeq, run.count) = (1, 1, 6, 6);
        (run.firstTimeMs, run.lastTimeMs, run.readingsRoot) = (1 << 40, (1 << 40) + 5000, "readings");
        FrameCodec.Totals memory totals = run.totals;
        (totals.count, totals.validCount) = (12, 12);
        (totals.firstMs, totals.lastMs, totals.knownMs) = (1 << 40, (1 << 40) + 5000, 5000);
    }

    function _headerField(bytes memory data, uint256 offset) private {
        vm.expectRevert(abi.encodeWithSelector(FrameCodec.HeaderField.selector, offset));
        decoders.header(data);
    }

    function _runField(bytes memory data, uint256 offset) private {
        vm.expectRevert(abi.encodeWithSelector(FrameCodec.RunField.selector, offset));
        decoders.run(data);
    }

    function _batchField(bytes memory data, uint256 offset) private {
        vm.expectRevert(abi.encodeWithSelector(FrameCodec.BatchField.selector, offset));
        decoders.batchLeaf(data);
    }

    function _with(bytes memory data, uint256 offset, bytes memory part)
        private
        pure
        returns (bytes memory copy)
    {
        copy = bytes.concat(data);
        for (uint256 i = 0; i < part.length; ++i) {
            copy[offset + i] = part[i];
        }
    }

    function _sized(bytes memory data, uint256 length) private pure returns (bytes memory sized) {
        sized = new bytes(length);
        for (uint256 i = 0; i < length && i < data.length; ++i) {
            sized[i] = data[i];
        }
    }
}

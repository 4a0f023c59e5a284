// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Rfc9162} from "./Rfc9162.sol";

/// @title The one place that parses evidence
/// @notice Strict decoding of the fixed layouts in docs/spec: frame header, run record with totals, batch leaf.
/// @dev Big-endian, nothing padded. A decoder takes exactly the layout's length and refuses what the
/// specification says cannot be; what it returns needs no further check of form.
library FrameCodec {
    struct Header {
        bytes32 gatewayId;
        uint8 legState;
        bytes32 legId;
        bytes32 limitsHash;
        uint64 frameSeq;
        bytes32 previousHash;
        uint64 sentMs;
        uint64 anchorInterval;
        bytes32 anchorBlockHash;
        bytes32 runsRoot;
        uint16 runCount;
    }

    struct Totals {
        uint64 firstSeq;
        uint32 count;
        uint32 validCount;
        uint64 firstMs;
        uint64 lastMs;
        uint16 lastFlags;
        int32 lastValue;
        uint64 validMs;
        int32 minValue;
        int32 maxValue;
        uint64 longestGapMs;
        uint64 knownMs;
        uint64 unknownMs;
        uint64 aboveMs;
        uint64 aboveLongestMs;
        uint64 aboveCurrentMs;
        uint64 belowMs;
        uint64 belowLongestMs;
        uint64 belowCurrentMs;
        uint128 mktWeightSum;
    }

    struct RunRecord {
        uint16 channel;
        uint16 quantity;
        uint64 firstSeq;
        uint32 count;
        uint64 firstTimeMs;
        uint64 lastTimeMs;
        bytes32 readingsRoot;
        Totals totals;
    }

    struct BatchLeaf {
        bytes32 tenant;
        uint64 batchSeq;
        bytes32 framesRoot;
        uint32 frameCount;
        uint64 firstEventMs;
        uint64 lastEventMs;
        bytes32 previous;
        bytes32 locationHash;
    }

    /// @notice Another length than the layout's.
    error LayoutLength(uint256 found, uint256 wanted);
    /// @notice Another type or version byte than the layout's, both in one number: type · 256 + version.
    error LayoutVersion(uint256 found, uint256 wanted);
    /// @notice A header field that the specification excludes; `offset` is where it begins.
    error HeaderField(uint256 offset);
    /// @notice A run record's field that the specification excludes; `offset` is where it begins.
    error RunField(uint256 offset);
    /// @notice A batch leaf's field that the specification excludes; `offset` is where it begins.
    error BatchField(uint256 offset);

    uint256 internal constant HEADER_BYTES = 221;
    uint256 internal constant RUN_BYTES = 207;
    uint256 internal constant BATCH_BYTES = 158;
    uint256 internal constant TOTALS_BYTES = 142;
    uint256 internal constant RUNS_MAX = 256;
    uint256 internal constant RUN_READINGS_MAX = 65_536;
    uint256 internal constant SPAN_MS_MAX = type(uint32).max;
    uint256 internal constant TIME_MS_MAX = 253_402_300_799_999;
    uint8 internal constant IDLE = 0;
    uint8 internal constant OPEN = 1;
    uint8 internal constant CLOSED = 2;
    uint256 private constant TOTALS_AT = 65;
    uint256 private constant FLAGS_KNOWN = 7;

    /// @dev The COSE Sig_structure up to the header: array of 4, "Signature1", {1: -7}, empty aad, 221 bytes.
    uint256 private constant SIG_PREFIX = 0x846a5369676e61747572653143a101264058dd;

    /// @notice Of a header: the frame hash H(00 ‖ Sig_structure), which is its leaf hash in the batch, and what the
    /// gateway signs, H(Sig_structure).
    function frameHashes(bytes calldata header) internal view returns (bytes32 frameHash, bytes32 digest) {
        uint256 prefix = SIG_PREFIX;
        assembly ("memory-safe") {
            // The prefix ends its word and a zero byte is before it.
            let free := mload(0x40)
            mstore(free, prefix)
            calldatacopy(add(free, 32), header.offset, header.length)
            if iszero(staticcall(gas(), 2, add(free, 12), add(header.length, 20), 0, 32)) {
                invalid()
            }
            frameHash := mload(0)
            if iszero(staticcall(gas(), 2, add(free, 13), add(header.length, 19), 0, 32)) {
                invalid()
            }
            digest := mload(0)
        }
    }

    /// @notice The leaf hash of a fixed layout: H(00 ‖ bytes).
    function leafHash(bytes calldata data) internal view returns (bytes32 hash) {
        assembly ("memory-safe") {
            let free := mload(0x40)
            mstore8(free, 0)
            calldatacopy(add(free, 1), data.offset, data.length)
            if iszero(staticcall(gas(), 2, free, add(data.length, 1), 0, 32)) { invalid() }
            hash := mload(0)
        }
    }

    /// @notice Fills `header` from its layout.
    /// @dev Structs are filled rather than returned where that spares making one twice.
    function decodeHeader(bytes calldata data, Header memory header) internal pure {
        require(data.length == HEADER_BYTES, LayoutLength(data.length, HEADER_BYTES));
        uint256 version = _word(data, 0) >> 240;
        require(version == 0x0301, LayoutVersion(version, 0x0301));
        header.gatewayId = bytes32(_word(data, 2));
        header.legState = uint8(_word(data, 34) >> 248);
        header.legId = bytes32(_word(data, 35));
        header.limitsHash = bytes32(_word(data, 67));
        header.frameSeq = uint64(_word(data, 99) >> 192);
        header.previousHash = bytes32(_word(data, 107));
        header.sentMs = uint64(_word(data, 139) >> 192);
        header.anchorInterval = uint64(_word(data, 147) >> 192);
        header.anchorBlockHash = bytes32(_word(data, 155));
        header.runsRoot = bytes32(_word(data, 187));
        header.runCount = uint16(_word(data, 189));
        _checkHeader(header);
    }

    /// @notice Fills `run` of a frame of a leg, where readings always have totals.
    function decodeLegRun(bytes calldata data, RunRecord memory run) internal pure {
        decodeRun(data, run);
        require(run.count == 0 || run.totals.count != 0, RunField(TOTALS_AT));
    }

    /// @notice Fills `run` from its layout.
    function decodeRun(bytes calldata data, RunRecord memory run) internal pure {
        require(data.length == RUN_BYTES, LayoutLength(data.length, RUN_BYTES));
        uint256 kind = _word(data, 0) >> 248;
        require(kind == 2, LayoutVersion(kind << 8, 0x0200));
        uint256 word = _word(data, 1);
        run.channel = uint16(word >> 240);
        run.quantity = uint16(word >> 224);
        run.firstSeq = uint64(word >> 160);
        run.count = uint32(word >> 128);
        run.firstTimeMs = uint64(word >> 64);
        run.lastTimeMs = uint64(word);
        run.readingsRoot = bytes32(_word(data, 33));
        _decodeTotals(data, run.totals);
        _checkRun(run);
        _checkTotals(data, run);
    }

    function decodeBatchLeaf(bytes calldata data) internal pure returns (BatchLeaf memory leaf) {
        require(data.length == BATCH_BYTES, LayoutLength(data.length, BATCH_BYTES));
        uint256 version = _word(data, 0) >> 240;
        require(version == 0x0401, LayoutVersion(version, 0x0401));
        leaf.tenant = bytes32(_word(data, 2));
        leaf.batchSeq = uint64(_word(data, 34) >> 192);
        leaf.framesRoot = bytes32(_word(data, 42));
        leaf.frameCount = uint32(_word(data, 74) >> 224);
        leaf.firstEventMs = uint64(_word(data, 78) >> 192);
        leaf.lastEventMs = uint64(_word(data, 86) >> 192);
        leaf.previous = bytes32(_word(data, 94));
        leaf.locationHash = bytes32(_word(data, 126));
        require(leaf.batchSeq != 0, BatchField(34));
        require(leaf.frameCount != 0, BatchField(74));
        require(leaf.firstEventMs <= leaf.lastEventMs, BatchField(78));
        require(leaf.lastEventMs <= TIME_MS_MAX, BatchField(86));
        require((leaf.previous == 0) == (leaf.batchSeq == 1), BatchField(94));
    }

    function _checkHeader(Header memory header) private pure {
        bool idle = header.legState == IDLE;
        require(header.legState <= CLOSED, HeaderField(34));
        require((header.legId == 0) == idle, HeaderField(35));
        require((header.limitsHash == 0) == idle, HeaderField(67));
        require((header.previousHash == 0) == (header.frameSeq == 0), HeaderField(107));
        require(header.sentMs <= TIME_MS_MAX, HeaderField(139));
        require((header.anchorBlockHash == 0) == (header.anchorInterval == 0), HeaderField(155));
        require(header.runCount <= RUNS_MAX && (idle || header.runCount != 0), HeaderField(219));
        require(header.runCount != 0 || header.runsRoot == Rfc9162.EMPTY_ROOT, HeaderField(187));
    }

    /// @dev Fields lie so that five words hold them all; each is read once.
    function _decodeTotals(bytes calldata data, Totals memory totals) private pure {
        uint256 word = _word(data, TOTALS_AT);
        totals.firstSeq = uint64(word >> 192);
        totals.count = uint32(word >> 160);
        totals.validCount = uint32(word >> 128);
        totals.firstMs = uint64(word >> 64);
        totals.lastMs = uint64(word);
        word = _word(data, TOTALS_AT + 30);
        totals.lastFlags = uint16(word >> 224);
        totals.lastValue = int32(uint32(word >> 192));
        totals.validMs = uint64(word >> 128);
        totals.minValue = int32(uint32(word >> 96));
        totals.maxValue = int32(uint32(word >> 64));
        totals.longestGapMs = uint64(word);
        word = _word(data, TOTALS_AT + 62);
        totals.knownMs = uint64(word >> 192);
        totals.unknownMs = uint64(word >> 128);
        totals.aboveMs = uint64(word >> 64);
        totals.aboveLongestMs = uint64(word);
        word = _word(data, TOTALS_AT + 94);
        totals.aboveCurrentMs = uint64(word >> 192);
        totals.belowMs = uint64(word >> 128);
        totals.belowLongestMs = uint64(word >> 64);
        totals.belowCurrentMs = uint64(word);
        totals.mktWeightSum = uint128(_word(data, TOTALS_AT + 110));
    }

    function _checkRun(RunRecord memory run) private pure {
        uint256 quantity = run.quantity;
        require((quantity != 0 && quantity <= 9) || quantity >= 32_768, RunField(3));
        require(run.count <= RUN_READINGS_MAX, RunField(13));
        require(uint256(run.firstSeq) + run.count <= type(uint64).max, RunField(5));
        require(run.lastTimeMs <= TIME_MS_MAX, RunField(25));
        if (run.count == 0) {
            require(run.firstTimeMs == 0, RunField(17));
            require(run.lastTimeMs == 0, RunField(25));
            require(run.readingsRoot == Rfc9162.EMPTY_ROOT, RunField(33));
        } else {
            // Times strictly increase, by whole milliseconds that fit u32 deltas.
            require(run.firstTimeMs <= run.lastTimeMs, RunField(17));
            uint256 spanMs = run.lastTimeMs - run.firstTimeMs;
            require(spanMs >= run.count - 1 && spanMs <= SPAN_MS_MAX, RunField(25));
            require(run.count != 1 || spanMs == 0, RunField(25));
        }
    }

    /// @dev What the fold keeps whatever the readings were. All zero: an idle frame, or no reading yet.
    function _checkTotals(bytes calldata data, RunRecord memory run) private pure {
        Totals memory totals = run.totals;
        if (totals.count == 0) {
            require(_isZero(data[TOTALS_AT:]), RunField(TOTALS_AT));
            return;
        }
        require(totals.count >= run.count, RunField(73));
        require(totals.validCount <= totals.count, RunField(77));
        require(totals.lastFlags <= FLAGS_KNOWN, RunField(97));
        require(uint256(totals.firstSeq) + totals.count == uint256(run.firstSeq) + run.count, RunField(65));
        require(run.count == 0 || totals.lastMs == run.lastTimeMs, RunField(89));
        require(totals.firstMs <= totals.lastMs, RunField(81));
        require(
            uint256(totals.knownMs) + totals.unknownMs == uint256(totals.lastMs) - totals.firstMs,
            RunField(127)
        );
    }

    /// @dev Whether the last TOTALS_BYTES bytes of a run record are all zero.
    function _isZero(bytes calldata totals) private pure returns (bool) {
        uint256 bits = _word(totals, TOTALS_BYTES - 32);
        for (uint256 i = 0; i + 32 <= TOTALS_BYTES; i += 32) {
            bits |= _word(totals, i);
        }
        return bits == 0;
    }

    /// @dev The 32 bytes at `offset`. The layouts' lengths are checked first, so no read passes the end.
    function _word(bytes calldata data, uint256 offset) private pure returns (uint256 word) {
        assembly ("memory-safe") {
            word := calldataload(add(data.offset, offset))
        }
    }
}

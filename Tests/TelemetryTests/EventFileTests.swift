import Files
import Telemetry
import TestSupport
import Testing

@Suite struct EventFileTests {
  @Test("the checksum has its published values")
  func checksum() {
    // RFC 3720, appendix B.4; the record of TensorBoard's own test of masked_crc.rs.
    #expect(crc32c([UInt8](repeating: 0, count: 32)) == 0x8A91_36AA)
    #expect(crc32c("123456789".utf8) == 0xE306_9283)
    #expect(crc32c([]) == 0)
    #expect(maskedChecksum([0x1A, 0x11] + "CRC test, one two".utf8) == 0x5794_D08A)
  }

  @Test("the bytes are those of TensorBoard's own writer")
  func reference() throws {
    try withTemporaryFolder { folder in
      let events = try EventFile(folder: folder, firstStep: 5, host: "here") { 1_700_000_000.25 }
      try events.append("loss", 0, step: 0)
      try events.append("läuft/größe", -1.5, step: 7)
      try events.appendImage(
        "picture", encoded: (0..<200).map { UInt8($0) }, width: 2, height: 300, step: 1 << 40)
      try events.sync()
      #expect(events.path == "\(folder)/events.out.tfevents.1700000000.here")
      let written = try RegularFile(path: events.path).readAll()
      #expect(try written == RegularFile(path: fixturePath("telemetry/events.bin")).readAll())
    }
  }

  @Test("a resumed run begins a new file, even in the same second")
  func resuming() throws {
    try withTemporaryFolder { folder in
      let files = try (0..<3).map { _ in try EventFile(folder: folder, host: "here") { 5 } }
      #expect(Set(files.map(\.path)).count == 3)
      #expect(files[0].path == "\(folder)/events.out.tfevents.0000000005.here")
      #expect(throws: FileError.self) { try EventFile(folder: "\(folder)/none") }
    }
  }

  @Test("by default the name holds the time and the machine")
  func defaults() throws {
    try withTemporaryFolder { folder in
      let name = try EventFile(folder: folder).path.dropFirst(folder.count + 1)
      let parts = name.split(separator: ".", maxSplits: 4)
      #expect(parts.prefix(3) == ["events", "out", "tfevents"])
      #expect(try #require(Int(parts[3])) > 1_700_000_000)
      #expect(String(parts[4]) == hostName())
    }
  }
}

import Files
import Foundation
import Parquet
import TestSupport
import Testing

/// Small files with seeded damage: an error or a success, never a trap or a great deal of memory.
@Suite struct MutationTests {
  private static let names = [
    "types", "nested", "nested-v2", "int96", "row-groups-1", "empty", "image-structs",
    "encodings-fixed", "one-value", "nulls", "mixed-gzip-v1-dictionary",
    "mixed-snappy-v2-plain", "mixed-none-v2-plain", "required", "codec-zstd",
    "encodings-none-v1", "encodings-snappy-v2",
  ]

  @Test("damaged bytes never trap", arguments: names)
  func damagedBytes(name: String) throws {
    let original = try RegularFile(path: fixturePath("parquet/\(name).parquet")).readAll()
    var random = Generator(state: name.utf8.reduce(1) { $0 &* 31 &+ UInt64($1) })
    let before = peakResidentKilobytes()
    var errors = 0
    try withTemporaryFolder { folder in
      let path = "\(folder)/mutated.parquet"
      for round in 0..<150 {
        var bytes = original
        // Half of the damage hits the footer, which is small against the pages.
        let start = round % 2 == 0 ? max(0, bytes.count - 1200) : 0
        for _ in 0...random.next(below: 4) {
          let place = start + random.next(below: bytes.count - start)
          let extremes: [UInt8] = [0, 1, 0x7f, 0x80, 0xff]
          bytes[place] =
            random.next(below: 2) == 0
            ? extremes[random.next(below: extremes.count)] : UInt8(random.next(below: 256))
        }
        if round % 10 == 9 { bytes.removeLast(random.next(below: bytes.count)) }
        try Data(bytes).write(to: URL(fileURLWithPath: path))
        if !readsWhole(path) { errors += 1 }
      }
    }
    #expect(errors > 20)
    #expect(peakResidentKilobytes() - before < 300_000)
  }

  private func readsWhole(_ path: String) -> Bool {
    do throws(ParquetError) {
      let file = try ParquetFile(path: path)
      guard file.rowCount < 1_000_000 else { return true }
      for column in file.columns { _ = try file.digest(of: column) }
      let flat = file.columns.filter { !$0.isRepeated }
      let rows = try RowCursor(file, columns: flat)
      for group in file.rowGroups.indices {
        try rows.open(rowGroup: group)
        while try rows.advance() {
          for cursor in rows.columns where cursor.column.physicalType == .byteArray {
            _ = cursor.bytes?.last
          }
        }
      }
      return true
    } catch {
      return false
    }
  }
}

private struct Generator {
  var state: UInt64

  mutating func next(below bound: Int) -> Int {
    state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
    return Int((state >> 33) % UInt64(bound))
  }
}

/// The peak memory of this process, from `/proc`; 0 if unavailable.
private func peakResidentKilobytes() -> Int {
  guard let text = try? String(contentsOfFile: "/proc/self/status", encoding: .utf8) else {
    return 0
  }
  for line in text.split(separator: "\n") where line.hasPrefix("VmHWM:") {
    return Int(line.split(separator: " ").dropFirst().first ?? "") ?? 0
  }
  return 0
}

import Catalog
import Files

@testable import DataStages
@testable import PipelineCore

/// The files that parts of a stage leave for a merge.
let partTargets: [FuzzTarget] = [
  FuzzTarget("part") { try readPart(Scratch.write(withDigests([UInt8]($0)), to: "1-of-1.part")) },
  FuzzTarget("part-output") {
    var reader = OutputReader([UInt8]($0))
    _ = try RowGroupContents(&reader)
  },
]

private func readPart(_ path: String) throws {
  guard let part = try PartFile(path: path) else { return }
  let file = try RegularFile(path: path)
  for entry in part.entries.prefix(64) {
    require(entry.end <= file.size, "a record ends at \(entry.end)")
    _ = try? PartFile.output(of: entry, in: file)
  }
}

/// A part whose header and records have the digests they should have, so that what is behind them is reached.
private func withDigests(_ bytes: [UInt8]) -> [UInt8] {
  var bytes = bytes
  guard bytes.count > 12 else { return bytes }
  func number(_ start: Int, _ count: Int) -> Int {
    bytes[start..<start + count].reversed().reduce(0) { ($0 & 0x7f_ffff_ffff_ffff) << 8 | Int($1) }
  }
  var end = 12 + number(8, 4)
  guard end <= bytes.count - 32 else { return bytes }
  bytes.replaceSubrange(end..<end + 32, with: SHA256.digest(of: Array(bytes[..<end])))
  end += 32
  while end <= bytes.count - PartFormat.headSize {
    let digest = end + PartFormat.headSize - 32
    let count = number(end + 12, 8)
    guard count <= bytes.count - digest - 32 else { break }
    let content = bytes[end..<digest] + bytes[digest + 32..<digest + 32 + count]
    bytes.replaceSubrange(digest..<digest + 32, with: SHA256.digest(of: Array(content)))
    end = digest + 32 + count
  }
  return bytes
}

import CZlib
import Catalog
import Foundation
import Imaging
import Parquet

/// Parquet, images, databases.
let fileTargets: [FuzzTarget] = [
  FuzzTarget("parquet", readParquet),
  FuzzTarget("jpeg") { decode([UInt8]($0)) },
  FuzzTarget("png") { decode(withChunkChecksums([UInt8]($0))) },
  FuzzTarget("catalog", readCatalog),
]

private func readParquet(_ input: UnsafeRawBufferPointer) throws {
  let file = try ParquetFile(path: Scratch.write(input))
  for column in file.columns.prefix(16) { _ = try? file.digest(of: column) }
  for column in file.columns.prefix(4) where !file.rowGroups.isEmpty {
    guard let cursor = try? ColumnCursor(file, column: column) else { continue }
    try cursor.open(rowGroup: 0)
    var rows = 0
    while rows < 200, try cursor.advance() {
      _ = try? cursor.text()
      _ = try? cursor.integer()
      _ = try? cursor.number()
      _ = try? cursor.truth()
      _ = cursor.bytes?.count
      rows += 1
    }
  }
}

/// A file whose header is accepted need not be an image, but every image has a valid header.
private func decode(_ bytes: [UInt8]) {
  var limits = ImageLimits()
  limits.pixelCount = 1 << 20
  _ = try? ImageHeader(bytes)
  let header = try? ImageHeader(checking: bytes, limits: limits)
  guard let image = try? RGBImage(decoding: bytes, limits: limits) else { return }
  require(header != nil, "decoded, though the header was refused")
  require(image.pixels.count == image.width * image.height * 3, "pixels are missing")
}

/// A PNG whose chunks have the checksums they should have, so that what is behind them is reached.
private func withChunkChecksums(_ bytes: [UInt8]) -> [UInt8] {
  var bytes = bytes
  var start = 8
  while start + 12 <= bytes.count {
    let length = bytes[start..<start + 4].reduce(0) { $0 << 8 | Int($1) }
    let end = start + 8 + length
    guard end + 4 <= bytes.count else { break }
    let checksum = bytes[start + 4..<end].withUnsafeBytes {
      crc32(0, $0.baseAddress, UInt32($0.count))
    }
    for place in 0..<4 {
      bytes[end + place] = UInt8(truncatingIfNeeded: checksum >> (24 - 8 * place))
    }
    start = end + 4
  }
  return bytes
}

private func readCatalog(_ input: UnsafeRawBufferPointer) throws {
  for ending in ["-wal", "-shm", "-journal"] { unlink("\(Scratch.folder)/input\(ending)") }
  let catalog = try CatalogDatabase(path: Scratch.write(input))
  _ = try? catalog.counts()
  _ = try? catalog.rejectionCounts()
  _ = try? catalog.pairCounts()
  _ = try? catalog.sources()
  _ = try? catalog.contentDigests()
  try? catalog.forEachImage { _ = try? catalog.copiedBytes(ofImage: $0.id) }
  for split in (try? catalog.splits()) ?? [] {
    try? catalog.forEachPromptGroup(inSplit: split) { _ in }
    _ = try? catalog.listedPromptIDs(inSplit: split)
  }
  _ = try? catalog.prompts()
  try? catalog.makeIndices()
}

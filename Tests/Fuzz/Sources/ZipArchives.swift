import CZlib

/// A zip archive of entries without compression.
func storedArchive(_ entries: [(name: String, content: [UInt8])]) -> [UInt8] {
  var archive: [UInt8] = []
  var directory: [UInt8] = []
  for (name, content) in entries {
    let offset = archive.count
    let sizes =
      little(checksum(content[...]), 4) + little(content.count, 4) + little(content.count, 4)
    let common = little(20, 2) + little(0, 8) + sizes + little(name.utf8.count, 2) + little(0, 2)
    archive += Array("PK\u{3}\u{4}".utf8) + common + Array(name.utf8) + content
    directory += Array("PK\u{1}\u{2}".utf8) + little(20, 2) + common + little(0, 10)
    directory += little(offset, 4) + Array(name.utf8)
  }
  let count = little(entries.count, 2)
  return archive + directory + Array("PK\u{5}\u{6}".utf8) + little(0, 4) + count + count
    + little(directory.count, 4) + little(archive.count, 4) + little(0, 2)
}

/// The archive with the checksums that its entries should have, as far as they can be found.
func withEntryChecksums(_ archive: [UInt8]) -> [UInt8] {
  var archive = archive
  func number(_ place: Int, _ count: Int) -> Int {
    archive[place..<place + count].reversed().reduce(0) { $0 << 8 | Int($1) }
  }
  for place in archive.indices.dropLast(46)
  where archive[place...].starts(with: [0x50, 0x4b, 1, 2]) {
    let (size, local) = (number(place + 20, 4), number(place + 42, 4))
    guard local + 30 <= archive.count else { continue }
    let content = local + 30 + number(local + 26, 2) + number(local + 28, 2)
    guard content + size <= archive.count else { continue }
    let bytes = little(checksum(archive[content..<content + size]), 4)
    archive.replaceSubrange(place + 16..<place + 20, with: bytes)
    archive.replaceSubrange(local + 14..<local + 18, with: bytes)
  }
  return archive
}

private func checksum(_ bytes: ArraySlice<UInt8>) -> Int {
  bytes.withUnsafeBytes { Int(crc32(0, $0.baseAddress, UInt32($0.count))) }
}

private func little(_ number: Int, _ count: Int) -> [UInt8] {
  (0..<count).map { $0 < 8 ? UInt8(truncatingIfNeeded: number >> (8 * $0)) : 0 }
}

import Checkpoints
import Files
import Foundation
import TestSupport
import Testing

@Suite struct TorchCheckpointTests {
  @Test(
    "a checkpoint of torch has the tensors that torch has",
    arguments: [
      "mixed.bin", "protocol4.bin", "large.zip.bin", "unarchived.bin", "published.ckpt",
    ])
  func mixed(name: String) throws {
    let checkpoint = try TorchCheckpoint(path: fixturePath("torch/\(name)"))
    let expected = try SafetensorsFile(path: fixturePath("torch/mixed.safetensors"))
    #expect(checkpoint.entries == expected.entries)
    for entry in expected.entries {
      #expect(try checkpoint.bytes(entry.name) == expected.bytes(entry.name), "\(entry.name)")
    }
    #expect(try checkpoint.floats("transposed") == expected.floats("transposed"))
    #expect(try checkpoint.integers("swapped") == expected.integers("swapped"))
    #expect(checkpoint.numbers["epoch"] == 3)
  }

  @Test("each hostile or damaged file is refused, by name where it names something")
  func hostile() throws {
    let cases = try JSONReader(contentsOf: fixturePath("torch/hostile.json"))
    #expect(try cases.object().count > 80)
    for (name, problem) in try cases.members() {
      let path = fixturePath("torch/hostile/\(name).bin")
      do {
        _ = try TorchCheckpoint(path: path)
        Issue.record("\(name) was read")
      } catch {
        #expect(error is CheckpointError, "\(name): \(error)")
        #expect(try "\(error)".contains(problem.string()), "\(name): \(error)")
      }
    }
  }

  @Test(
    "a thousand damaged files give errors or tensors, never a crash",
    arguments: [
      "torch/mixed.bin", "torch/large.zip.bin", "torch/unarchived.bin", "torch/published.ckpt",
    ])
  func mutations(name: String) throws {
    let original = try RegularFile(path: fixturePath(name)).readAll()
    try withTemporaryFolder { folder in
      let path = "\(folder)/mutated.bin"
      try Data().write(to: URL(fileURLWithPath: path))
      let handle = try #require(FileHandle(forUpdatingAtPath: path))
      var random = SplitMix(state: 6)
      var refused = 0
      for round in 0..<1000 {
        var bytes = original
        for _ in 0..<Int.random(in: 1...3, using: &random) {
          // Half of the damage is done near the end, where the archive's directory lies.
          let place =
            round % 2 == 0
            ? Int.random(in: bytes.indices, using: &random)
            : bytes.count - 1 - Int.random(in: 0..<min(2000, bytes.count), using: &random)
          bytes[place] = UInt8.random(in: 0...255, using: &random)
        }
        if round % 8 == 0 { bytes.removeLast(Int.random(in: 1...bytes.count, using: &random)) }
        try handle.seek(toOffset: 0)
        try handle.write(contentsOf: bytes)
        try handle.truncate(atOffset: UInt64(bytes.count))
        refused += try readAll(path) ? 0 : 1
      }
      #expect(refused > 300)
    }
  }

  @Test("a flipped bit in a storage is found before its tensor is used")
  func flippedStorage() throws {
    var bytes = try RegularFile(path: fixturePath("torch/mixed.bin")).readAll()
    let intact = try TorchCheckpoint(path: fixturePath("torch/mixed.bin"))
    // One whose elements are contiguous in the file.
    let found = try intact.entries.lazy.filter { $0.byteCount >= 16 }.compactMap { entry in
      let content = try intact.bytes(entry.name)
      return bytes.indices.first { bytes[$0...].starts(with: content) }.map { (entry.name, $0) }
    }.first
    let (name, place) = try #require(found)
    bytes[place + 5] ^= 4
    try withTemporaryFolder { folder in
      let path = "\(folder)/flipped.bin"
      try AtomicFile.replace(path, with: bytes)
      let flipped = try TorchCheckpoint(path: path)
      let error = #expect(throws: CheckpointError.self) { try flipped.bytes(name) }
      #expect("\(try #require(error))".contains("checksum"))
    }
  }

  @Test("every instruction that is not known is refused")
  func instructions() throws {
    let original = try RegularFile(path: fixturePath("torch/mixed.bin")).readAll()
    let begin = try #require(original.indices.first { original[$0...].starts(with: [0x80, 2]) })
    let end = try #require(
      original.indices.first { original[$0...].starts(with: Array("PK\u{7}\u{8}".utf8)) })
    let directory = try #require(
      original.indices.first { original[$0...].starts(with: Array("PK\u{1}\u{2}".utf8)) })
    let known =
      Array(".NKMJGXTUBC()]tl}daesuqrhj012cRiobQ".utf8)
      + [0x80, 0x81, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8A, 0x8B, 0x8C, 0x8D, 0x8E, 0x8F]
      + [0x90, 0x91, 0x92, 0x93, 0x94, 0x95, 0x96]
    try withTemporaryFolder { folder in
      for code in UInt8.min...UInt8.max where !known.contains(code) {
        var bytes = original
        bytes[begin + 2] = code
        let sum = crc32(Array(bytes[begin..<end]))
        withUnsafeBytes(of: sum.littleEndian) { sum in
          for place in 0..<4 { bytes[directory + 16 + place] = sum[place] }
        }
        let path = "\(folder)/program.bin"
        try Data(bytes).write(to: URL(fileURLWithPath: path))
        do {
          _ = try TorchCheckpoint(path: path)
          Issue.record("instruction \(code) was done")
        } catch { #expect("\(error)".contains("the instruction 0x"), "\(code): \(error)") }
      }
    }
  }

  @Test("three thousand damaged programs give errors or tensors, never a crash")
  func damagedPrograms() throws {
    let original = try RegularFile(path: fixturePath("torch/mixed.bin")).readAll()
    func find(_ signature: [UInt8]) throws -> Int {
      try #require(original.indices.first { original[$0...].starts(with: signature) })
    }
    let begin = try find([0x80, 2])
    let end = try find(Array("PK\u{7}\u{8}".utf8))
    let directory = try find(Array("PK\u{1}\u{2}".utf8))
    try withTemporaryFolder { folder in
      let path = "\(folder)/mutated.bin"
      try Data(original).write(to: URL(fileURLWithPath: path))
      let handle = try #require(FileHandle(forUpdatingAtPath: path))
      var random = SplitMix(state: 7)
      var refused = 0
      for _ in 0..<3000 {
        var program = Array(original[begin..<end])
        for _ in 0..<Int.random(in: 1...4, using: &random) {
          let place = Int.random(in: program.indices, using: &random)
          // Bytes of the program itself are instructions more often than any others.
          program[place] = try #require(
            Bool.random(using: &random)
              ? program.randomElement(using: &random) : UInt8.random(in: 0...255, using: &random))
        }
        try handle.seek(toOffset: UInt64(begin))
        try handle.write(contentsOf: program)
        try handle.seek(toOffset: UInt64(directory + 16))
        try handle.write(contentsOf: withUnsafeBytes(of: crc32(program).littleEndian) { Data($0) })
        refused += try readAll(path) ? 0 : 1
      }
      #expect(refused > 1000)
    }
  }

  /// Reads every tensor; false if the file is refused.
  private func readAll(_ path: String) throws -> Bool {
    do {
      let checkpoint = try TorchCheckpoint(path: path)
      for entry in checkpoint.entries { _ = try checkpoint.bytes(entry.name) }
      return true
    } catch {
      #expect(error is CheckpointError || error is FileError)
      return false
    }
  }
}

@Suite struct OpenCheckpointTests {
  @Test("the kind of a checkpoint is told by its beginning, or an index by its name")
  func kinds() throws {
    #expect(try openCheckpoint(fixturePath("torch/mixed.bin")) is TorchCheckpoint)
    #expect(try openCheckpoint(fixturePath("torch/mixed.safetensors")) is SafetensorsFile)
    let index = fixturePath("safetensors/sharded/model.safetensors.index.json")
    #expect(try openCheckpoint(index) is ShardedCheckpoint)
    #expect(try openCheckpoint(fixturePath("torch/unarchived.bin")) is TorchCheckpoint)
    #expect(throws: FileError.self) {
      try openCheckpoint(fixturePath("safetensors/hostile/empty-file.safetensors"))
    }
  }
}

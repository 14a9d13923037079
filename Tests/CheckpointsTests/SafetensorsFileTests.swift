import Checkpoints
import Files
import Foundation
import TestSupport
import Testing

@Suite struct SafetensorsFileTests {
  @Test("a file of the Python library is read number for number")
  func mixed() throws {
    let file = try SafetensorsFile(path: fixturePath("safetensors/mixed.safetensors"))
    let expected = try JSONReader(contentsOf: fixturePath("safetensors/mixed.json"))
    #expect(file.metadata == ["format": "pt"])
    #expect(try Set(file.entries.map(\.name)) == Set(expected.object().keys))
    #expect(file.entries.map(\.name) == file.entries.map(\.name).sorted())
    for (name, content) in try expected.members() {
      let entry = try file.entry(name)
      #expect(try entry.shape == content.ints("shape"))
      let values = try content.ints("values")
      switch entry.type {
      case .bool: #expect(try file.bytes(name) == values.map { UInt8($0) })
      case .u8, .i32, .i64: #expect(try file.integers(name) == values)
      default: #expect(try file.floats(name).map { Int($0.bitPattern) } == values, "\(name)")
      }
    }
  }

  @Test("every number of eight bits is what torch takes it for")
  func float8() throws {
    let file = try SafetensorsFile(path: fixturePath("safetensors/float8.safetensors"))
    let expected = try JSONReader(contentsOf: fixturePath("safetensors/float8.json"))
    #expect(file.entries.count == 4)
    for (name, content) in try expected.members() {
      let values = try content.ints("values").map { Float(bitPattern: UInt32($0)) }
      for (bits, (found, value)) in zip(try file.floats(name), values).enumerated() {
        #expect(
          found.isNaN ? value.isNaN : found.bitPattern == value.bitPattern, "\(name) \(bits)")
      }
    }
  }

  @Test("large tensors are read in pieces")
  func pieces() throws {
    try withTemporaryFolder { folder in
      let path = "\(folder)/large.safetensors"
      let floats = (0..<1_200_007).map { Float($0 % 2048) }
      let integers = (0..<200_003).map { -$0 }
      try writeSafetensors(
        [
          OutgoingTensor("half", type: .f16, shape: [floats.count], floats: { floats }),
          OutgoingTensor("double", type: .f64, shape: [floats.count], floats: { floats }),
          OutgoingTensor("ids", shape: [integers.count], integers: integers),
        ], to: path)
      let file = try SafetensorsFile(path: path)
      #expect(try file.floats("half") == floats)
      #expect(try file.floats("double") == floats)
      #expect(try file.integers("ids") == integers)
      var bytes = [UInt8](repeating: 0, count: 4)
      try bytes.withUnsafeMutableBytes { try file.read("half", from: 2 * 1_100_000, into: $0) }
      let halves = [Float16(1_100_000 % 2048), Float16(1_100_001 % 2048)]
      #expect(halves.withUnsafeBytes { [UInt8]($0) } == bytes)
    }
  }

  @Test("what a tensor is not cannot be read from it")
  func unsuitable() throws {
    let file = try SafetensorsFile(path: fixturePath("safetensors/mixed.safetensors"))
    #expect(throws: CheckpointError.missingTensor(path: file.path, tensor: "x")) {
      try file.floats("x")
    }
    #expect(throws: CheckpointError.self) { try file.floats("ids") }
    #expect(throws: CheckpointError.self) { try file.integers("weight") }
    #expect(
      throws: CheckpointError.wrongSize(path: file.path, tensor: "scalar", expected: 1, found: 2)
    ) {
      var room: [Float] = [0, 0]
      try room.withUnsafeMutableBufferPointer { try file.readFloats("scalar", into: $0) }
    }
  }

  @Test("the bytes after the header are where the file says")
  func ranges() throws {
    let file = try SafetensorsFile(path: fixturePath("safetensors/one.safetensors"))
    #expect(file.dataOffset % 8 == 0)
    #expect(try file.byteRange("x") == file.dataOffset..<file.dataOffset + 24)
    #expect(try RegularFile(path: file.path).size == file.dataOffset + 24)
  }

  @Test("each file that breaks a rule is refused by name")
  func hostile() throws {
    let cases = try JSONReader(contentsOf: fixturePath("safetensors/hostile.json"))
    #expect(try cases.object().count > 60)
    for (name, problem) in try cases.members() {
      let path = fixturePath("safetensors/hostile/\(name).safetensors")
      do {
        _ = try SafetensorsFile(path: path)
        Issue.record("\(name) was read")
      } catch {
        #expect(error is CheckpointError || error is JSONError || error is FileError, "\(name)")
        #expect("\(error)".hasPrefix(path), "\(error)")
        #expect(try "\(error)".contains(problem.string()), "\(name): \(error)")
      }
    }
  }

  @Test("the header's size limit can be lowered")
  func headerLimit() throws {
    let path = fixturePath("safetensors/one.safetensors")
    #expect(throws: CheckpointError.self) { try SafetensorsFile(path: path, maximumHeaderSize: 8) }
  }

  @Test("a thousand damaged files give errors or tensors, never a crash")
  func mutations() throws {
    let original = try RegularFile(path: fixturePath("safetensors/mixed.safetensors")).readAll()
    let headerEnd = try SafetensorsFile(path: fixturePath("safetensors/mixed.safetensors"))
      .dataOffset
    try withTemporaryFolder { folder in
      let path = "\(folder)/mutated.safetensors"
      try Data().write(to: URL(fileURLWithPath: path))
      let handle = try #require(FileHandle(forUpdatingAtPath: path))
      var random = SplitMix(state: 27)
      var refused = 0
      for round in 0..<1000 {
        var bytes = original
        for _ in 0..<Int.random(in: 1...3, using: &random) {
          bytes[Int.random(in: 0..<headerEnd, using: &random)] = UInt8.random(
            in: 0...255, using: &random)
        }
        if round % 4 == 0 { bytes.removeLast(Int.random(in: 1...bytes.count, using: &random)) }
        try handle.seek(toOffset: 0)
        try handle.write(contentsOf: bytes)
        try handle.truncate(atOffset: UInt64(bytes.count))
        do {
          let file = try SafetensorsFile(path: path)
          for entry in file.entries { _ = try file.bytes(entry.name) }
        } catch {
          #expect(error is CheckpointError || error is JSONError || error is FileError)
          refused += 1
        }
      }
      #expect(refused > 500)
    }
  }

  @Test("a file that shrinks after it was opened gives an error")
  func shrinking() throws {
    try withTemporaryFolder { folder in
      let path = "\(folder)/x.safetensors"
      try writeSafetensors([OutgoingTensor("x", shape: [4], floats: { [1, 2, 3, 4] })], to: path)
      let file = try SafetensorsFile(path: path)
      #expect(truncate(path, off_t(file.dataOffset + 8)) == 0)
      #expect(throws: FileError.self) { try file.floats("x") }
    }
  }
}

/// A small generator with a fixed seed, so that a failing round can be repeated.
struct SplitMix: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ z >> 30) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ z >> 27) &* 0x94D0_49BB_1331_11EB
    return z ^ z >> 31
  }
}

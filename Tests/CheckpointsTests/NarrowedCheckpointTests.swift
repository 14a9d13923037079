import Checkpoints
import TestSupport
import Testing

@Suite struct NarrowedCheckpointTests {
  private static let values = (0..<600_000).map { Float($0 % 10_007) / 3 - 1_500 }

  private func withFile(_ body: (SafetensorsFile) throws -> Void) throws {
    try withTemporaryFolder { folder in
      let path = "\(folder)/model.safetensors"
      let count = Self.values.count
      try writeSafetensors(
        [
          OutgoingTensor("large", shape: [2, count / 2], floats: { Self.values }),
          OutgoingTensor("small", shape: [10], floats: { Array(Self.values[..<10]) }),
          OutgoingTensor("half", type: .f16, shape: [count], floats: { Self.values }),
        ], to: path)
      try body(try SafetensorsFile(path: path))
    }
  }

  @Test("large tensors of single precision are rounded, others are as they are")
  func rounding() throws {
    try withFile { file throws in
      let narrowed = NarrowedCheckpoint(file, to: .f16, from: 11)
      #expect(narrowed.entries.map(\.type) == [.f16, .f16, .f32])
      #expect(narrowed.entries.map(\.shape) == file.entries.map(\.shape))
      #expect(try narrowed.floats("large") == Self.values.map { Float(Float16($0)) })
      #expect(try narrowed.floats("small") == Array(Self.values[..<10]))
      #expect(try narrowed.bytes("half") == file.bytes("half"))
      let wider = NarrowedCheckpoint(file, to: .bf16, from: 11)
      let error = zip(try wider.floats("large"), Self.values).map { abs($0 - $1) }.max() ?? 0
      #expect((0.5...4).contains(error))
    }
  }

  @Test("a part of a tensor is that part of the whole")
  func parts() throws {
    try withFile { file throws in
      let narrowed = NarrowedCheckpoint(file, to: .f16, from: 11)
      let whole = try narrowed.bytes("large")
      var part = [UInt8](repeating: 0, count: 2 * 300_000)
      try part.withUnsafeMutableBytes { try narrowed.read("large", from: 2 * 777, into: $0) }
      #expect(part == Array(whole[2 * 777..<2 * (777 + 300_000)]))
    }
  }

  @Test("numbers that half precision cannot hold are refused by name; infinity and NaN are kept")
  func range() throws {
    try withTemporaryFolder { folder throws in
      func narrowed(_ value: Float, to type: ElementType) throws -> [Float] {
        let path = "\(folder)/model.safetensors"
        try writeSafetensors([OutgoingTensor("x", shape: [2], floats: { [1, value] })], to: path)
        return try NarrowedCheckpoint(try SafetensorsFile(path: path), to: type, from: 1)
          .floats("x")
      }
      #expect(try narrowed(65_519, to: .f16) == [1, 65_504])
      #expect(try narrowed(-.infinity, to: .f16) == [1, -.infinity])
      #expect(try narrowed(.nan, to: .f16)[1].isNaN)
      #expect(try narrowed(70_000, to: .bf16) == [1, 70_144])
      #expect(throws: CheckpointError.self) { try narrowed(.greatestFiniteMagnitude, to: .bf16) }
      do {
        _ = try narrowed(-70_000, to: .f16)
        Issue.record("was not refused")
      } catch {
        #expect("\(error)".contains("tensor x: -70000.0 is more than F16 can hold; bf16 can"))
      }
    }
  }
}

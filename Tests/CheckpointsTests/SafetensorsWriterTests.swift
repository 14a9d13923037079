import Checkpoints
import Files
import Foundation
import TestSupport
import Testing

@Suite struct SafetensorsWriterTests {
  @Test("the same tensors give the Python library's file, byte for byte")
  func equalsReference() throws {
    let reference = fixturePath("safetensors/mixed.safetensors")
    let file = try SafetensorsFile(path: reference)
    try withTemporaryFolder { folder in
      let path = "\(folder)/copy.safetensors"
      let tensors = file.entries.map { entry in
        OutgoingTensor(
          entry.name, type: entry.type, shape: entry.shape, bytes: { try file.bytes(entry.name) })
      }
      for order in [tensors, tensors.reversed()] {
        try writeSafetensors(order, metadata: file.metadata, to: path)
        #expect(try RegularFile(path: path).readAll() == RegularFile(path: reference).readAll())
      }
    }
  }

  @Test("floats are rounded as torch rounds them", arguments: [ElementType.f16, .bf16, .f64, .f32])
  func rounding(type: ElementType) throws {
    let file = try SafetensorsFile(path: fixturePath("safetensors/mixed.safetensors"))
    let edges = try file.floats("edges.f32")
    try withTemporaryFolder { folder in
      let path = "\(folder)/edges.safetensors"
      try writeSafetensors(
        [OutgoingTensor("x", type: type, shape: [edges.count], floats: { edges })], to: path)
      let written = try SafetensorsFile(path: path).bytes("x")
      #expect(try written == file.bytes("edges.\(type.rawValue.lowercased())"))
    }
  }

  @Test("NaN stays NaN in every type", arguments: [ElementType.f16, .bf16, .f64, .f32])
  func nan(type: ElementType) throws {
    try withTemporaryFolder { folder in
      let path = "\(folder)/nan.safetensors"
      let values: [Float] = [.nan, -.nan, Float(bitPattern: 0x7F80_0001), Float(bitPattern: ~0)]
      try writeSafetensors(
        [OutgoingTensor("x", type: type, shape: [4], floats: { values })], to: path)
      #expect(try SafetensorsFile(path: path).floats("x").allSatisfy(\.isNaN))
    }
  }

  @Test("elements may come in several pieces")
  func severalPieces() throws {
    try withTemporaryFolder { folder in
      let path = "\(folder)/pieces.safetensors"
      let tensor = OutgoingTensor(
        "x", type: .bf16, shape: [2, 3],
        withFloats: { body in
          for row: [Float] in [[1, 2, 3], [4, 5, 6]] { try row.withUnsafeBufferPointer(body) }
        })
      try writeSafetensors([tensor], metadata: ["b": "2", "a": "1"], to: path)
      let file = try SafetensorsFile(path: path)
      #expect(try file.floats("x") == [1, 2, 3, 4, 5, 6])
      #expect(file.metadata == ["a": "1", "b": "2"])
    }
  }

  @Test("what cannot be a file is refused, and nothing is left behind")
  func refusals() throws {
    let good = OutgoingTensor("a", shape: [1], floats: { [1] })
    let bad: [[OutgoingTensor]] = [
      [good, good], [OutgoingTensor("__metadata__", shape: [], floats: { [1] })],
      [OutgoingTensor("b", shape: [-1], floats: { [] })],
      [OutgoingTensor("b", shape: [2], floats: { [1] })],
      [OutgoingTensor("b", shape: [.max, 2], floats: { [] })],
      [OutgoingTensor("b", type: .i8, shape: [1], floats: { [1] })],
    ]
    try withTemporaryFolder { folder in
      for tensors in bad {
        #expect(throws: CheckpointError.self) {
          try writeSafetensors(tensors, to: "\(folder)/bad.safetensors")
        }
      }
      let left = try FileManager.default.contentsOfDirectory(atPath: folder)
      #expect(left.isEmpty)
    }
  }

  @Test("no tensors make a file too")
  func empty() throws {
    try withTemporaryFolder { folder in
      try writeSafetensors([], to: "\(folder)/empty.safetensors")
      #expect(try SafetensorsFile(path: "\(folder)/empty.safetensors").entries == [])
    }
  }
}

import Checkpoints
import Files
import TestSupport
import Testing

@Suite struct ShardedCheckpointTests {
  let folder = fixturePath("safetensors/sharded")

  @Test("several files and their index are one checkpoint")
  func reading() throws {
    let checkpoint = try ShardedCheckpoint(indexPath: "\(folder)/model.safetensors.index.json")
    #expect(checkpoint.entries.map(\.name) == ["a", "b", "c"])
    let second = try SafetensorsFile(path: "\(folder)/model-00002-of-00002.safetensors")
    #expect(try checkpoint.floats("b") == second.floats("b"))
    #expect(try checkpoint.entry("a").shape == [2, 2])
    #expect(throws: CheckpointError.self) { try checkpoint.floats("d") }
  }

  @Test("index and files must agree, and shards lie beside their index")
  func disagreement() throws {
    try withTemporaryFolder { folder in
      let x = OutgoingTensor("x", shape: [1], floats: { [1] })
      let y = OutgoingTensor("y", shape: [1], floats: { [2] })
      try writeSafetensors([x, y], to: "\(folder)/s.safetensors")
      let index = "\(folder)/model.safetensors.index.json"
      func message(_ weightMap: JSON) throws -> String {
        let text = (["weight_map": weightMap] as JSON).text()
        try AtomicFile.replace(index, with: Array(text.utf8))
        do { _ = try ShardedCheckpoint(indexPath: index) } catch { return "\(error)" }
        return "none"
      }
      #expect(try message(["x": "s.safetensors", "y": "s.safetensors"]) == "none")
      #expect(try message(["x": "s.safetensors"]).contains("tensor y"))
      #expect(
        try message(["x": "s.safetensors", "y": "s.safetensors", "z": "s.safetensors"])
          .contains("no tensor z"))
      #expect(try message(["x": "t.safetensors"]).contains("cannot open"))
      for name in ["../s.safetensors", "/etc/passwd", "a\\b", "", ".", "..", "s\0"] {
        #expect(try message(["x": .string(name)]).contains("the name of a file in the folder"))
      }
      #expect(try message(["x": 1]).contains("must be a string"))
      #expect(try message([]).contains("must be an object"))
    }
  }
}

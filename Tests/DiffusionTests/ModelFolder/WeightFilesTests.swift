import Autograd
import Diffusion
import Files
import Foundation
import TestSupport
import Testing

@Suite("Weights in model folders")
struct WeightFilesTests {
  @Test(
    "weights of torch are those of the safetensors file they came from",
    arguments: ["text_encoder", "text_encoder_2"])
  func torch(part: String) throws {
    let ids = [[0, 5, 3, 1], [0, 2, 2, 1]]
    let expected = try ModelFolder(path: fixturePath("models/text-quick")).textEncoder().model(ids)
    // The second is in two files with an index; the fixture has no projection.
    try withTemporaryFolder { folder in
      try FileManager.default.copyItem(
        atPath: fixturePath("torch/model/\(part)"), toPath: "\(folder)/text_encoder")
      let found = try ModelFolder(path: folder).textEncoder().model(ids)
      #expect(found.lastHiddenState.values == expected.lastHiddenState.values)
    }
  }

  @Test("an index in every spelling finds its files, and what is tried is told")
  func names() throws {
    try withTemporaryFolder { folder in
      let part = "\(folder)/text_encoder"
      try FileManager.default.copyItem(
        atPath: fixturePath("torch/model/text_encoder_2"), toPath: part)
      var index = "\(part)/pytorch_model.bin.index.json"
      for name in [
        "pytorch_model.bin.index.fp16.json", "pytorch_model.bin.fp16.index.json",
        "pytorch_model.fp16.bin.index.json",
      ] {
        try FileManager.default.moveItem(atPath: index, toPath: "\(part)/\(name)")
        index = "\(part)/\(name)"
        _ = try ModelFolder(path: folder).textEncoder()
      }
      try FileManager.default.removeItem(atPath: index)
      #expect(throws: ModelFolderError.self) { try ModelFolder(path: folder).textEncoder() }
    }
  }
}

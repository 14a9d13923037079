import Checkpoints
import Diffusion
import Files
import Foundation
import Imaging
import Scorers
import TestSupport
import Testing

/// Weights that do not make a scorer are refused by name.
@Suite struct ScorerFileTests {
  private let clip = fixturePath("scorers/clip-hf")

  /// A copy of the fixture with other weights.
  private func copy(
    to folder: String, _ change: (TensorEntry) -> String?, adding extra: [OutgoingTensor] = []
  ) throws {
    for name in ["config.json", "sa_0_4_vit_l_14_linear.pth"] {
      try FileManager.default.copyItem(atPath: "\(clip)/\(name)", toPath: "\(folder)/\(name)")
    }
    let weights = try SafetensorsFile(path: "\(clip)/model.safetensors")
    try writeSafetensors(
      weights.entries.compactMap { entry in
        change(entry).map { name in
          OutgoingTensor(
            name, type: entry.type, shape: entry.shape, bytes: { try weights.bytes(entry.name) })
        }
      } + extra, to: "\(folder)/model.safetensors")
  }

  private func tokenizer() throws -> Tokenizer {
    try ModelFolder(path: fixturePath("../../data/tiny-sd")).tokenizer()
  }

  private func message(_ kind: ScorerKind, _ path: String, _ tokenizer: Tokenizer?) -> String {
    do {
      _ = try Scorer(kind, path: path, tokenizer: tokenizer)
      return ""
    } catch { return "\(error)" }
  }

  @Test("weights that are missing or left over are named")
  func keys() throws {
    try withTemporaryFolder { folder in
      try copy(to: folder, { $0.name == "visual_projection.weight" ? nil : $0.name })
      #expect(message(.pickScore, folder, try tokenizer()).contains("visual_projection.weight"))
    }
    try withTemporaryFolder { folder in
      try copy(
        to: folder, \.name,
        adding: [
          OutgoingTensor(
            "left.over.weight", type: .f32, shape: [1], bytes: { [0, 0, 0, 0] })
        ])
      #expect(message(.pickScore, folder, try tokenizer()).contains("left.over.weight"))
    }
    try withTemporaryFolder { folder in
      try copy(
        to: folder, \.name,
        adding: [
          OutgoingTensor(
            "t_embedder.mlp.0.weight", type: .f32, shape: [1], bytes: { [0, 0, 0, 0] })
        ])
      #expect(
        message(.pickScore, folder, try tokenizer()).contains("a step-aware preference model"))
    }
  }

  @Test("keys with the prefix of published preference models are read")
  func prefix() throws {
    try withTemporaryFolder { folder in
      try copy(to: folder, { "model.\($0.name)" })
      #expect(message(.pickScore, folder, try tokenizer()) == "")
    }
  }

  @Test("a predictor that looks at images alone needs no tokenizer and leaves the other half")
  func imagesAlone() throws {
    try withTemporaryFolder { folder in
      try copy(to: folder, { $0.name.hasPrefix("text_") ? nil : $0.name })
      #expect(message(.aesthetic1, folder, nil) == "")
      #expect(message(.aesthetic2, folder, nil).contains("sac+logos+ava1-l14-linearMSE.pth"))
      #expect(message(.pickScore, folder, try tokenizer()).contains("text_model."))
    }
  }

  @Test("a tokenizer of another vocabulary is refused, and none too")
  func tokenizers() throws {
    let other = try ModelFolder(path: fixturePath("sample/model")).tokenizer()
    #expect(message(.pickScore, clip, nil).contains("tokenizer"))
    #expect(message(.pickScore, clip, other).contains("tokenizer"))
    #expect(message(.pickScore, "\(clip)-absent", nil).contains("no such file"))
  }

  @Test("what is not finite in any of the weights is found as they are read")
  func notFinite() throws {
    let names = try SafetensorsFile(path: "\(clip)/model.safetensors").entries
    for broken in names where broken.type == .f32 {
      try withTemporaryFolder { folder in
        try copy(
          to: folder, { $0.name == broken.name ? nil : $0.name },
          adding: [
            OutgoingTensor(
              broken.name, shape: broken.shape,
              floats: { [Float](repeating: 1, count: broken.elementCount - 1) + [.nan] })
          ])
        #expect(throws: NonFiniteTensorError.self, "\(broken.name)") {
          _ = try Scorer(.clipScore, path: folder, tokenizer: try tokenizer())
        }
      }
    }
    try withTemporaryFolder { folder in
      try copy(to: folder, \.name)
      let head = "\(folder)/sa_0_4_vit_l_14_linear.pth"
      let width = try openCheckpoint(head).entry("weight").shape
      try FileManager.default.removeItem(atPath: head)
      try writeSafetensors(
        [
          OutgoingTensor("bias", shape: [1], floats: { [.infinity] }),
          OutgoingTensor(
            "weight", shape: width, floats: { [Float](repeating: 1, count: width.reduce(1, *)) }),
        ], to: head)
      #expect(throws: NonFiniteTensorError.self) {
        _ = try Scorer(.aesthetic1, path: folder, tokenizer: nil)
      }
    }
  }

  @Test("weights of another shape than the published ones are doubted, where there is one")
  func doubt() throws {
    for kind in [ScorerKind.pickScore, .hpsV2, .hpsV21] {
      let doubt = try #require(try Scorer.doubt(about: clip, of: kind))
      #expect(doubt.contains(clip) && doubt.contains("ViT-H/14"))
    }
    #expect(try Scorer.doubt(about: clip, of: .clipScore) == nil)
    try withTemporaryFolder { folder in
      try copy(to: folder, \.name)
      try JSON.edit("\(folder)/config.json", below: "vision_config") {
        $0["hidden_size"] = 1280
        $0["num_hidden_layers"] = 32
        $0["num_attention_heads"] = 16
        $0["patch_size"] = 14
        $0["image_size"] = 224
      }
      #expect(try Scorer.doubt(about: folder, of: .hpsV2) == nil)
    }
  }

  @Test("a file under its published name is found in its folder")
  func folder() throws {
    #expect(message(.hpsV21, fixturePath("scorers/clip-open"), try tokenizer()) == "")
    #expect(
      message(.hpsV2, fixturePath("scorers/clip-open"), try tokenizer()).contains("has no weights"))
  }

  @Test("an architecture of OpenCLIP that is not known is refused by its field")
  func architecture() throws {
    let source = fixturePath("scorers/clip-open")
    try withTemporaryFolder { folder in
      let name = "HPS_v2.1_compressed.pt"
      try FileManager.default.copyItem(atPath: "\(source)/\(name)", toPath: "\(folder)/\(name)")
      // Without a configuration the file would be a ViT-H/14.
      #expect(message(.hpsV21, "\(folder)/\(name)", try tokenizer()).contains("shape"))
      let config = try String(
        contentsOfFile: "\(source)/open_clip_config.json", encoding: .utf8
      ).replacingOccurrences(of: "\"layers\": 2,", with: "\"layers\": 2, \"ls_init_value\": 0.1,")
      try config.write(
        toFile: "\(folder)/open_clip_config.json", atomically: true, encoding: .utf8)
      #expect(message(.hpsV21, "\(folder)/\(name)", try tokenizer()).contains("ls_init_value"))
    }
  }
}

extension JSON {
  /// Changes an object in a file.
  fileprivate static func edit(
    _ path: String, below key: String, _ change: (inout JSON.Object) -> Void
  ) throws {
    var root = try JSONReader(contentsOf: path).object()
    var object = try #require(root[key]?.object)
    change(&object)
    root[key] = .object(object)
    try AtomicFile.replace(path, with: Array(JSON.object(root).text().utf8))
  }
}

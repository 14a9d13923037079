import Autograd
import Diffusion
import Evaluation
import Files
import Foundation
import Imaging
import PipelineCore
import RandomStreams
import TestSupport
import Testing

@Suite struct PromptFoldersTests {
  private let model = EvaluatedModel(ModelFolder(path: fixturePath("../../data/tiny-sd")))

  private func generate(
    _ folder: String, steps: Int = 2, _ lines: String, _ partition: Partition? = nil,
    merges: Bool = false
  ) throws -> [String] {
    let list = "\(folder)/list.jsonl"
    try lines.write(toFile: list, atomically: true, encoding: .utf8)
    var request = TextToImage.Request(prompt: "")
    request.steps = steps
    var generated: [String] = []
    let outcome = try PromptFolders(
      path: "\(folder)/out", prompts: try PromptList(path: list), count: 2, partition: partition
    ).generate(
      request, with: model, seed: 7,
      noise: ("torch-cpu", { TorchCPUGenerator(seed: $0) }), merges: merges
    ) { generated.append(String($0.dropFirst(folder.count + 5))) }
    #expect(outcome.generatedCount == generated.count)
    #expect(outcome.imageCount == 2 * outcome.promptCount)
    return generated
  }

  private let lines = "{\"tag\":\"colors\",\"prompt\":\"a red circle\"}\n\"a blue square\"\n"

  @Test("images lie where GenEval's scripts look, and are those of single calls")
  func layout() throws {
    try withTemporaryFolder { folder in
      #expect(
        try generate(folder, lines) == [
          "00000/samples/0000.png", "00000/samples/0001.png", "00001/samples/0000.png",
          "00001/samples/0001.png",
        ])
      let metadata = try String(
        contentsOfFile: "\(folder)/out/00000/metadata.jsonl", encoding: .utf8)
      #expect(metadata == "{\"tag\":\"colors\",\"prompt\":\"a red circle\"}\n")
      var request = TextToImage.Request(prompt: "a red circle")
      request.steps = 2
      let second = try RGBImage(
        decoding: try RegularFile(path: "\(folder)/out/00000/samples/0001.png").readAll())
      try TextToImage.draw(
        request, of: model.folder, from: [TorchCPUGenerator(seed: 8)]
      ) { _, image in
        let levels = image.values.map { min(max($0 / 2 + 0.5, 0), 1) * 255 }
        #expect(zip(levels, second.pixels).allSatisfy { abs($0 - Float($1)) <= 0.51 })
      }
      // Existing images are kept.
      try FileManager.default.removeItem(atPath: "\(folder)/out/00001/samples/0000.png")
      #expect(try generate(folder, lines) == ["00001/samples/0000.png"])
    }
  }

  @Test(
    "a part draws its prompts alone; the whole draws the rest; what another writes is left alone")
  func parts() throws {
    try withTemporaryFolder { folder in
      let second = try Partition(index: 2, of: 2)
      #expect(
        try generate(folder, lines, second) == [
          "00001/samples/0000.png", "00001/samples/0001.png",
        ])
      #expect(!FileManager.default.fileExists(atPath: "\(folder)/out/00000"))
      #expect(throws: EvaluationError.otherImages(path: "\(folder)/out", setting: "steps")) {
        try generate(folder, steps: 3, lines, second)
      }
      let begun = "\(folder)/out/" + TemporaryName.beside("00001/metadata.jsonl")
      try AtomicFile.replace(begun, with: [])
      #expect(try generate(folder, lines, second).isEmpty)
      #expect(FileManager.default.fileExists(atPath: begun))
      #expect(
        try generate(folder, lines) == ["00000/samples/0000.png", "00000/samples/0001.png"])
      // A part may be writing it at this moment.
      #expect(FileManager.default.fileExists(atPath: begun))
      try FileManager.default.setAttributes(
        [.modificationDate: Date(timeIntervalSinceNow: -7_200)], ofItemAtPath: begun)
      #expect(try generate(folder, lines).isEmpty)
      #expect(!FileManager.default.fileExists(atPath: begun))
    }
  }

  @Test("images of other settings are not taken for these")
  func others() throws {
    try withTemporaryFolder { folder in
      _ = try generate(folder, lines)
      #expect(
        throws: EvaluationError.otherImages(path: "\(folder)/out", setting: "steps")
      ) { try generate(folder, steps: 3, lines) }
    }
  }

  @Test("a merge without images writes nothing, and names every prompt")
  func nothingToMerge() throws {
    try withTemporaryFolder { folder in
      let error = #expect(throws: EvaluationError.self) {
        try generate(folder, lines, merges: true)
      }
      #expect(
        error
          == .incomplete(path: "\(folder)/out", missing: [0, 1], total: 2, others: 0))
      #expect(!FileManager.default.fileExists(atPath: "\(folder)/out"))
      _ = try generate(folder, lines)
      #expect(try generate(folder, lines, merges: true).isEmpty)
      #expect(throws: EvaluationError.otherImages(path: "\(folder)/out", setting: "steps")) {
        try generate(folder, steps: 3, lines, merges: true)
      }
    }
  }

  @Test(
    "a file that is no whole image is named, by parts, merges and the whole", arguments: [0, 60])
  func damage(kept: Int) throws {
    try withTemporaryFolder { folder in
      _ = try generate(folder, lines)
      let image = "\(folder)/out/00001/samples/0001.png"
      let bytes = try RegularFile(path: image).readAll()
      try AtomicFile.replace(image, with: Array(bytes.prefix(kept)))
      let second = try Partition(index: 2, of: 2)
      for (partition, merges) in [(nil, true), (nil, false), (second, false)] {
        let error = #expect(throws: EvaluationError.self) {
          try generate(folder, lines, partition, merges: merges)
        }
        #expect(error?.kind == .input)
        #expect(error?.description.contains(image) == true)
      }
      let record = "\(folder)/out/state/images.json"
      try AtomicFile.replace(record, with: Array("{".utf8))
      let error = #expect(throws: EvaluationError.self) { try generate(folder, lines) }
      #expect(error?.kind == .input)
      #expect(error?.description.contains("name another folder") == true)
    }
  }
}

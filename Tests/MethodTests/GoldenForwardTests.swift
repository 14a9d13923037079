import Apply
import Autograd
import Checkpoints
import Diffusion
import Files
import TestSupport
import Testing

private let textParts = GoldenCase.all("text_encoder", in: "models", prefix: "text-") { _ in true }
  .map { golden in
    golden.folder.hasSuffix("projected")
      ? GoldenCase(operation: "text_encoder_2", folder: golden.folder, file: golden.file) : golden
  }

private let forwardCases: [GoldenCase] =
  textParts
  + GoldenCase.all("unet", in: "models", prefix: "unet-") { _ in true }
  + GoldenCase.all("vae.encode", in: "models", prefix: "vae-") { $0.hasPrefix("case-encode") }
  + GoldenCase.all("vae.decode", in: "models", prefix: "vae-") { $0.hasPrefix("case-decode") }
  + GoldenCase.all("preference", in: "models", prefix: "preference-") {
    $0.hasPrefix("case") && !$0.contains("loss")
  }

private let methodCases: [GoldenCase] =
  GoldenCase.all("ddim", in: "method", prefix: "ddim-") { $0.hasPrefix("case") }
  + GoldenCase.all("spo.loss", in: "method", prefix: "spo-") { $0.hasPrefix("case") }
  + GoldenCase.all("dpo.loss", in: "method", prefix: "dpo-") { $0.hasPrefix("case") }
  + GoldenCase.all("spm.loss", in: "models", prefix: "preference-") { $0.contains("loss") }

@Suite("Golden cases")
struct GoldenForwardTests {
  @Test("a model computes what the reference library computes", arguments: forwardCases)
  func forward(golden: GoldenCase) throws {
    try check(golden, OperationOptions(model: golden.model))
  }

  @Test("a step and a loss are what the reference computes", arguments: methodCases)
  func method(golden: GoldenCase) throws {
    var options = OperationOptions(model: golden.model)
    if golden.folder.hasPrefix("method/") {
      let settings = try JSONReader(contentsOf: fixturePath("\(golden.folder)/settings.json"))
      options.steps = try settings.int("steps", default: options.steps)
      options.eta = Float(try settings.double("eta", default: 1))
      options.guidance = Float(try settings.double("guidance", default: 5))
      options.beta = Float(try settings.double("beta", default: 10))
      options.clip = Float(try settings.double("clip", default: 0.1))
    }
    if ["spo.loss", "dpo.loss"].contains(golden.operation) {
      options.loraPath = fixturePath("\(golden.folder)/lora.safetensors")
    }
    try check(golden, options)
  }

  @Test("there are cases of every operation")
  func casesExist() {
    let operations = Set((forwardCases + methodCases).map(\.operation))
    #expect(operations == Set(Operation.all.map(\.name)))
    #expect(forwardCases.count >= 20)
  }

  private func check(_ golden: GoldenCase, _ options: OperationOptions) throws {
    let file = try golden.open()
    let operation = try #require(Operation.all.first { $0.name == golden.operation })
    let outputs = try operation(options, InputTensors(file, prefix: "input."))
    let largestGradient =
      try file.entries.filter { $0.name.hasPrefix("grad.") }
      .map { try file.floats($0.name).reduce(Float(0)) { max($0, abs($1)) } }.max() ?? 0
    var compared = 0
    for (name, tensor) in outputs {
      let isGradient = name.hasPrefix("grad.")
      let key = isGradient ? name : "output.\(name)"
      guard let entry = file.find(key) else { continue }
      compared += 1
      #expect(tensor.shape == entry.shape, "\(key)")
      let error = relativeError(
        tensor.values, try file.floats(key), floor: isGradient ? largestGradient * 1e-3 : 1e-12)
      #expect(error <= (isGradient ? 1e-3 : 1e-4), "\(key): \(error)")
    }
    let expected = file.entries.filter {
      $0.name.hasPrefix("output.")
        || $0.name.hasPrefix("grad.") && golden.operation.hasSuffix(".loss")
    }
    #expect(compared == expected.count)
  }
}

import CommandSyntax
import Diffusion
import Evaluation
import Files
import PipelineCore
import Scorers

/// `spo evaluate`: compares a model with another by published scores.
enum Evaluate: Command {
  static var syntax: CommandSyntax {
    CommandSyntax(
      name: "evaluate",
      summary: "Compare two models by scoring their images of the same prompts and noise.",
      options: ModelArguments.options(lora: "a LoRA file for the model; several add up") + [
        .value("against", "DIR", "another model, or \"base\": the same without its LoRA files"),
        .value("against-lora", "FILE", isRepeatable: true, "a LoRA file for the other model"),
        .value(
          "against-lora-scale", "X", isRepeatable: true,
          "the same for the other model: one for all, or one per --against-lora (1)"),
        .value("prompts", "FILE", "a prompt list: text, .json, .jsonl, .csv, .tsv or parquet"),
        .value(
          "scorer", "NAME=DIR", isRepeatable: true,
          "\(ScorerKind.allCases.map(\.rawValue).joined(separator: ", ")), and its weights"),
        .value("count", "N", "images per prompt (1)"),
        .value(
          "guidance", "X", isRepeatable: true, "guidance scale; may be given several times (7.5)"),
        .value("steps", "N", "DDIM steps (20)"),
        .value("eta", "X", "DDIM eta, 0 to 1 (0)"),
        .value("seed", "N", "seed of the noise (42)"),
        .value(
          "partition", "I/N",
          "process only part I of N of the prompts; auto/N: I from the job array"),
        .flag("merge", "merge the parts, all of which must be complete"),
        ComputingDevice.option,
        ComputingDevice.precisionOption,
        .value("out", "DIR", "the folder for images, scores, evaluation.json and index.html"),
        .flag("json", "print one JSON object"),
      ],
      examples: [
        (
          "spo evaluate --model models/sd15 --lora aesthetic.safetensors --against base"
            + " --prompts PartiPrompts.tsv --scorer pickscore=models/PickScore_v1"
            + " --guidance 5 --guidance 7.5 --out runs/evaluation",
          "whether a LoRA helps"
        ),
        (
          "spo evaluate --model models/sd15 --prompts PartiPrompts.tsv"
            + " --scorer pickscore=models/PickScore_v1 --out runs/evaluation --partition auto/64",
          "one job of an array; then run the same with --merge"
        ),
      ])
  }

  static func run(_ arguments: Arguments) throws {
    try arguments.requireOneProcess()
    let request = try request(arguments)
    let partition = try arguments.partition()
    guard partition == nil || !arguments.has("json") else {
      throw arguments.error("--partition cannot be combined with --json: a part compares nothing")
    }
    let merges = arguments.has("merge")
    guard partition == nil || !merges else {
      throw arguments.error(
        "--merge cannot be combined with --partition; use it when all parts are complete")
    }
    try Console.warn(
      ofPrompts: request.prompts.entries.map(\.text), request.model.folder.tokenizer())
    for (kind, path) in request.scorers {
      if let doubt = try Scorer.doubt(about: path, of: kind) {
        Console.complain("warning: \(doubt.printable)")
      }
    }
    let computing = try ComputingDevice(arguments)
    Interruption.handleSignals()
    let console = ProgressLine()
    let evaluation = Evaluation(request, report: console.show) { Console.noteKept([$0]) }
    func perform<Result>(_ body: () throws -> Result) throws -> Result {
      defer { console.close() }
      return try computing.perform(body)
    }
    if let partition {
      let count = try perform { try evaluation.run(partition) }
      return Console.note(
        "part \(partition) is complete: \(Spelled.count(count)) of "
          + "\(Spelled.count(request.prompts.entries.count, of: "prompts")); when all parts are complete, run with --merge"
      )
    }
    let result = try perform { try evaluation.run(merges: merges) }
    guard !arguments.has("json") else { return try Console.print(result.json.text(.pretty)) }
    for line in result.lines { try Console.print(line) }
    Console.note("page: \(request.folder)/index.html")
  }

  private static func request(_ arguments: Arguments) throws -> EvaluationRequest {
    let folder = try arguments.modelFolder()
    let output = try arguments.required("out")
    guard !output.isEmpty else { throw arguments.error("--out is empty") }
    var request = EvaluationRequest(
      model: EvaluatedModel(
        folder, loraPaths: try arguments.loraPaths(), loraScales: try arguments.loraScales(),
        negativeLoRAs: try arguments.negativeLoRAs()),
      against: try against(folder, arguments),
      prompts: try PromptList(
        path: try arguments.present(try arguments.required("prompts"), "prompts")),
      scorers: try scorers(arguments), folder: output)
    request.imagesPerPrompt =
      try arguments.int("count", in: 1...EvaluationRequest.largestCount) ?? 1
    request.steps = try arguments.int("steps", in: 1...1000) ?? 20
    request.eta = try arguments.float("eta") ?? 0
    guard (0...1).contains(request.eta) else { throw arguments.error("--eta must be from 0 to 1") }
    request.seed = try arguments.seed("seed") ?? 42
    request.guidance = try guidance(arguments)
    try arguments.requireGuidance(request.guidance)
    return request
  }

  private static func against(
    _ folder: ModelFolder, _ arguments: Arguments
  ) throws -> EvaluatedModel? {
    let (loras, scales) = (
      try arguments.loraPaths("against-lora"), try arguments.loraScales("against-lora")
    )
    guard let path = arguments.value("against") else {
      guard loras.isEmpty else { throw arguments.error("--against-lora needs --against") }
      return nil
    }
    return EvaluatedModel(
      try path == "base"
        ? folder
        : arguments.modelFolder("against"),
      loraPaths: loras, loraScales: scales)
  }

  private static func guidance(_ arguments: Arguments) throws -> [Float] {
    let given = arguments.values("guidance")
    guard !given.isEmpty else { return [7.5] }
    let scales = try given.map { text in
      guard let scale = Float(text), (0...1000).contains(scale) else {
        throw arguments.error("--guidance must be a number from 0 to 1000, but is \"\(text)\"")
      }
      return scale
    }
    guard Set(scales).count == scales.count else {
      throw arguments.error("--guidance lists a scale twice")
    }
    return scales
  }

  private static func scorers(_ arguments: Arguments) throws -> [(kind: ScorerKind, path: String)] {
    let names = ScorerKind.allCases.map(\.rawValue)
    let scorers = try arguments.values("scorer").map { text in
      let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      guard parts.count == 2, !parts[1].isEmpty else {
        throw arguments.error(
          "--scorer must be of the form NAME=DIR, but is \"\(text)\""
            + ScorerKind.hint(for: String(parts[0])))
      }
      guard let kind = ScorerKind(rawValue: String(parts[0])) else {
        throw arguments.error(
          "unknown scorer \"\(parts[0])\"; available: \(names.joined(separator: ", "))"
            + ScorerKind.hint(for: String(parts[0])))
      }
      return (kind, try arguments.present(String(parts[1]), "scorer"))
    }
    guard !scorers.isEmpty else { throw arguments.error("--scorer is missing") }
    guard Set(scorers.map(\.0)).count == scorers.count else {
      throw arguments.error("--scorer lists a scorer twice")
    }
    return scorers
  }
}

/// Shows the progress of an evaluation every ten seconds, or on a terminal in one updated line.
private final class ProgressLine {
  private let hasTerminal = Console.hasTerminal
  private var last = ContinuousClock.now
  private var isOpen = false

  func show(_ progress: Evaluation.Progress) {
    let now = ContinuousClock.now
    guard now - last >= (hasTerminal ? .milliseconds(200) : .seconds(10)) else { return }
    last = now
    let text =
      "\(progress.activity): \(Spelled.count(progress.done)) of "
      + "\(Spelled.count(progress.total)) \(progress.unit)"
    guard hasTerminal else { return Console.note(text) }
    Console.noteInPlace("\r\(text)\u{1B}[K")
    isOpen = true
  }

  func close() {
    if isOpen { Console.noteInPlace("\r\u{1B}[K") }
    isOpen = false
  }
}

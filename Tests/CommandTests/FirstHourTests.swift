import Catalog
import Checkpoints
import Files
import Foundation
import TestSupport
import Testing

/// Typical mistakes of newcomers: one message says what to do.
@Suite(.serialized) struct FirstHourTests {
  private func sample(_ folder: String, _ arguments: String...) throws -> Outcome {
    try Program(
      ["sample", "--model", "data/tiny-sd", "--steps", "1", "--out", "\(folder)/x.png"] + arguments
    ).outcome()
  }

  @Test("a model that is not there is named with its option; a hub's name with how to get it")
  func missingModel() throws {
    try withTemporaryFolder { folder in
      let hub = "runwayml/stable-diffusion-v1-5"
      for command in [
        ["sample", "--prompt", "x", "--out", "\(folder)/x.png"], ["tokenize", "--text", "x"],
        ["apply", "unet", "--inputs", "x", "--outputs", "\(folder)/y"],
        ["export", "--lora", "x", "--to", "lora", "--out", "\(folder)/y"],
        ["evaluate", "--prompts", "x", "--out", "\(folder)/z"],
      ] {
        expect(
          try Program(command + ["--model", hub]).outcome(), failsAs: .input,
          naming: "--model: \(hub) does not exist", "hf download \(hub)")
        expect(
          try Program(command + ["--model", "models/absent"]).outcome(), failsAs: .input,
          naming: "--model: models/absent does not exist", "current folder")
      }
      expect(
        try spo(
          "run", SmallRun.pipeline, "--workspace", "\(folder)/w", "--set", "model=\(hub)",
          "--through", "encode"), failsAs: .input, naming: "model: \(hub)", "hf download \(hub)")
    }
  }

  @Test("a LoRA that is a folder, or of another model, is named with the cause")
  func unsuitableLoRA() throws {
    try withTemporaryFolder { folder in
      let file = "\(folder)/pytorch_lora_weights.safetensors"
      let stem = "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q.lora"
      func write(_ stem: String) throws {
        try TensorData.write(
          [
            "\(stem).down.weight": TensorData(
              shape: [2, 640], values: Array(repeating: 1, count: 1280)),
            "\(stem).up.weight": TensorData(
              shape: [640, 2], values: Array(repeating: 1, count: 1280)),
          ], to: file)
      }
      try write(stem)
      expect(
        try sample(folder, "--prompt", "x", "--lora", folder), failsAs: .input,
        naming: "is a folder",
        file)
      let merged = "\(folder)/merged"
      for name in [stem, stem.replacing("attentions.0", with: "attentions.9")] {
        try write(name)
        expect(
          try sample(folder, "--prompt", "x", "--lora", file), failsAs: .input, naming: file,
          "made for another base model")
        for form in ["lora", "merged"] {
          expect(
            try spo(
              "export", "--model", "data/tiny-sd", "--lora", file, "--to", form, "--out",
              "\(merged)-\(form)"), failsAs: .input, naming: file, "made for another base model")
        }
      }
      expect(
        try spo(
          "export", "--model", "data/tiny-sd", "--lora", file, "--to", "merged", "--out",
          "\(merged).safetensors"), failsAs: .usage, naming: "a folder", "--out \(merged)")
    }
  }

  @Test("what a text encoder does not read of prompts is said once, with the number of prompts")
  func prompts() throws {
    try withTemporaryFolder { folder in
      let long = Array(repeating: "red circle", count: 60).joined(separator: " ")
      let outcome = try sample(folder, "--prompt", long, "--negative", "(blue:1.2)")
      expectSuccess(outcome)
      #expect(outcome.errors.contains("warning: the prompt has more than"), "\(outcome)")
      #expect(outcome.errors.contains("--negative: the prompt uses syntax of the webui"))
      for syntax in ["<lora:x:1>", "((red))", "a BREAK b", "[red:blue:0.5]", "(red circle: 1.3)"] {
        let marked = try sample(folder, "--prompt", syntax)
        #expect(marked.errors.contains("used literally"), "\(syntax): \(marked)")
      }
      for plain in ["a (red) circle", "a ratio of 1:2 [sic]", "breakfast"] {
        #expect(try !sample(folder, "--prompt", plain).errors.contains("warning"), "\(plain)")
      }
      let list = "\(folder)/list.txt"
      try AtomicFile.replace(list, with: Array("red\n\(long)\n\(long)\n".utf8))
      let all = try spo(
        "sample", "--model", "data/tiny-sd", "--steps", "1", "--prompts", list, "--out",
        "\(folder)/images")
      #expect(all.errors.contains("warning: 2 of 3 prompts have more than"), "\(all)")
    }
  }

  @Test("what is no model or no LoRA is named for what it is")
  func mistakenModels() throws {
    try withTemporaryFolder { folder in
      let lora = "\(folder)/lora.safetensors"
      try writeLoRA(to: lora, up: 0.1)
      let export = "\(folder)/export"
      for path in ["\(export)/merged", "\(folder)/data"] {
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
      }
      try AtomicFile.replace("\(export)/merged/model_index.json", with: Array("{}".utf8))
      let workspace = "\(folder)/workspace"
      try FileManager.default.createDirectory(
        atPath: "\(workspace)/state", withIntermediateDirectories: true)
      try AtomicFile.replace("\(workspace)/lock", with: [])
      let table = "\(folder)/own.csv"
      try AtomicFile.replace(table, with: Array("prompt,image_0\nx,y.png\n".utf8))
      func sample(_ model: String, _ more: String...) throws -> Outcome {
        try Program(
          ["sample", "--model", model, "--prompt", "x", "--steps", "1", "--out", "\(folder)/x.png"]
            + more
        ).outcome()
      }
      for (path, words) in [
        ("\(folder)/data", "not a diffusers model (no model_index.json, no unet/)"),
        ("data/tiny-preference", "not a diffusers model"),
        (export, "use \(export)/merged, or --lora"),
        (folder, "use \(export)/merged, or --lora"), (workspace, "this is a workspace"),
        (lora, "this is a LoRA"),
      ] {
        expect(try sample(path), failsAs: .input, naming: path, words)
      }
      let unet = "data/tiny-sd/unet/diffusion_pytorch_model.safetensors"
      expect(
        try sample("data/tiny-sd", "--lora", unet), failsAs: .input, naming: unet,
        "a model's own weights")
      for outcome in [try sample(table), try sample("data/tiny-sd", "--lora", table)] {
        expect(outcome, failsAs: .input, naming: table)
        #expect(!outcome.errors.contains("download"), "\(outcome)")
      }
    }
  }

  @Test("names of other programs and slips of the pen get a hint")
  func hints() throws {
    let export = [
      "export", "--model", "data/tiny-sd", "--lora", "x", "--out", "/nowhere/x", "--to",
    ]
    for (words, hint) in [
      (export + ["kohya"], "did you mean webui?"), (export + ["a1111"], "did you mean webui?"),
      (["--verison"], "did you mean --version?"), (["settings", "spo.rnak"], "did you mean rank?"),
      (["help", "sampel"], "did you mean sample?"), (["help", "lora"], "did you mean models?"),
      (["help", "GPU"], "did you mean devices?"), (["help", "clustr"], "did you mean cluster?"),
      (["eval"], "did you mean evaluate?"), (["generate"], "did you mean sample?"),
      (["settings", "spo.lr"], "did you mean learning_rate?"),
      (["settings", "learning_rate"], ".learning_rate?"),
      (["settings", "sppo"], "did you mean \"spo\"?"),
      (["help", "xyzzy"], "one of: data, columns"),
      (["report"], "--through report"), (["encode"], "--through encode"),
      (
        [
          "sample", "--model", "data/tiny-sd", "--prompt", "x", "--out", "x.png", "--scheduler",
          "euler a",
        ], "did you mean euler?"
      ),
    ] {
      expect(try Program(words).outcome(), failsAs: .usage, naming: hint)
    }
    #expect(try spo("help", "spo.rank").output == spo("settings", "spo.rank").output)
    for command in ["run", "status"] {
      expect(
        try spo(command, "pipelines"), failsAs: .settings, naming: "name the pipeline file")
    }
  }

  @Test("a strength without a LoRA is refused")
  func strengthAlone() throws {
    try withTemporaryFolder { folder in
      expect(
        try sample(folder, "--prompt", "x", "--lora-scale", "0.5"), failsAs: .usage,
        naming: "--lora-scale needs --lora")
    }
  }

  @Test(
    "commands that only look say that a workspace is not there",
    arguments: ["status", "verify", "gc"])
  func missingWorkspace(command: String) throws {
    try withTemporaryFolder { folder in
      let outcome = try spo(command, SmallRun.pipeline, "--workspace", "\(folder)/typo")
      #expect(outcome.errors.contains("note: \(folder)/typo does not exist"), "\(outcome)")
    }
  }

  @Test("names that other programs give a setting are known")
  func settingNames() throws {
    for (name, meant) in [
      ("spo.lr", "learning_rate"), ("spo.lora_rank", "rank"), ("spo.batch_size", "batch"),
      ("spo.learningRate", "learning_rate"), ("spo.max_grad_norm", "gradient_limit"),
      ("preference.train_steps", "steps"), ("encode.resolution", "size"), ("lr", "learning_rate"),
    ] {
      expect(
        try spo("status", SmallRun.pipeline, "--set", "\(name)=1"), failsAs: .settings,
        naming: "did you mean \"\(meant)\"?")
    }
  }

  @Test("a start that is the stage's own result is refused")
  func ownStart() throws {
    try withTemporaryFolder { folder in
      expect(
        try spo(
          "status", "pipelines/quickstart-dpo.json5", "--workspace", folder, "--set",
          "dpo.start=\(folder)/dpo/pytorch_lora_weights.safetensors"), failsAs: .settings,
        naming: "dpo.start", "that stage dpo writes")
    }
  }

  @Test("images smaller than the size they are encoded at are counted")
  func enlarged() throws {
    try withTemporaryFolder { folder in
      let outcome = try spo(
        "run", SmallRun.pipeline, "--workspace", "\(folder)/w", "--through", "encode", "--set",
        "encode.size=256")
      expectSuccess(outcome)
      #expect(outcome.errors.contains("images are smaller than 256 pixels"), "\(outcome)")
      let own = try spo(
        "run", SmallRun.pipeline, "--workspace", "\(folder)/w", "--through", "encode")
      #expect(!own.errors.contains("are smaller than"), "\(own)")
    }
  }

  @Test("help explains commands, stages and topics; settings also one setting")
  func topics() throws {
    for (words, part) in [
      (["help", "sample"], "--scheduler NAME"), (["help", "shard"], "validation_fraction ="),
      (["help", "data"], "hpdv3 "), (["help", "columns"], "image_0 "),
      (["help", "scorers"], "pickscore"), (["settings", "spo.rank"], "rank = 4"),
    ] {
      let outcome = try Program(words).outcome()
      expectSuccess(outcome)
      #expect(outcome.output.contains(part), "\(words)")
    }
    #expect(try !spo("settings", "spo.rank").output.contains("clip ="))
  }

  @Test("options that change nothing are named")
  func idleOptions() throws {
    try withTemporaryFolder { folder in
      let negative = try sample(
        folder, "--prompt", "x", "--guidance", "1", "--negative", "blurry")
      #expect(negative.errors.contains("--negative has no effect at --guidance 1.0"))
      let eta = try sample(folder, "--prompt", "x", "--scheduler", "euler", "--eta", "0.5")
      #expect(eta.errors.contains("--eta has no effect: only ddim adds noise"))
      expect(
        try sample(folder, "--prompt", "x", "--guidance", "-3"), failsAs: .usage,
        naming: "--guidance must be 0 or more")
    }
  }

  @Test("prompts of which the text encoder reads only a part are counted")
  func longPrompts() throws {
    try withTemporaryFolder { folder in
      let list = "\(folder)/prompts.txt"
      let long = Array(repeating: "a fox", count: 20).joined(separator: " ")
      try AtomicFile.replace(list, with: Array("a fox\n\(long)\n".utf8))
      let scorer = ["--scorer", "clip=\(fixturePath("scorers/clip-hf"))"]
      for command in [["sample"], ["evaluate"] + scorer] {
        let outcome = try Program(
          command + [
            "--model", "data/tiny-sd", "--prompts", list, "--steps", "1", "--out",
            "\(folder)/\(command[0])",
          ]
        ).outcome()
        expectSuccess(outcome)
        #expect(outcome.errors.contains("1 of 2 prompts has more than 22 tokens"), "\(outcome)")
      }
    }
  }

  @Test("inspect knows texts, pipelines and folders")
  func inspect() throws {
    try withTemporaryFolder { folder in
      try AtomicFile.replace("\(folder)/other.csv", with: Array("one,two\n1,2\n".utf8))
      try AtomicFile.replace("\(folder)/settings.json", with: Array("{\"a\": 1}".utf8))
      for (path, words) in [
        (fixturePath("data/pairs-pandas.csv"), "pairs: two images"),
        (fixturePath("data/chosen-rejected-pandas.jsonl"), "format    chosen_rejected"),
        (fixturePath("data/prompts.txt"), "format    prompts"),
        (SmallRun.pipeline, "stages: ingest, encode"),
        ("data/tiny-sd", "a model in diffusers' layout"),
        ("data/tiny-preference", "in transformers' layout"),
        ("data/pickapic-sample", "format    pickapic"),
        (fixturePath("data/votes-datasets.parquet"), "votes: two images with vote counts"),
        ("\(folder)/other.csv", "format    not recognized"),
        ("\(folder)/settings.json", "a JSON object"),
      ] {
        let text = try spo("inspect", path)
        expectSuccess(text)
        #expect(text.output.contains(words), "\(path): \(text.output)")
        let json = try spo("inspect", path, "--json")
        #expect((try? JSON(parsing: json.output))?.object != nil, "\(path)")
      }
      let run = try SmallRun.finished(in: folder)
      #expect(try spo("inspect", run.workspace).output.contains("a workspace"))
      for (name, words) in [
        ("shards", "split train: "), ("spo", "pytorch_lora_weights.safetensors  "),
        ("spo/checkpoints", "a folder in the workspace"), ("export/webui", ".safetensors  "),
        ("state", "digests.json"), ("spo/metrics.jsonl", "training metrics, "),
      ] {
        let text = try spo("inspect", "\(run.workspace)/\(name)")
        expectSuccess(text)
        #expect(text.output.contains(words), "\(name): \(text.output)")
        let json = try spo("inspect", "\(run.workspace)/\(name)", "--json")
        #expect((try? JSON(parsing: json.output))?.object != nil, "\(name)")
      }
      try FileManager.default.createDirectory(
        atPath: "\(folder)/strange", withIntermediateDirectories: true)
      try AtomicFile.replace("\(folder)/strange/notes.bin", with: [1, 2, 3])
      let strange = try spo("inspect", "\(folder)/strange")
      #expect(strange.output.contains("notes.bin  3 bytes"), "\(strange)")
      #expect(strange.output.contains("not a source for ingest: "), "\(strange)")
      expect(try spo("inspect", "\(folder)/none.csv"), failsAs: .input, naming: "none.csv")
    }
  }

  @Test("the rejected rows of a catalog come as CSV")
  func rejectedRows() throws {
    try withTemporaryFolder { folder in
      let text = "prompt,image_0,image_1,preferred\n\"a, b\",x.png,y.png,0\na fox,x.png,y.png,0\n"
      let source = "\(folder)/pairs.csv"
      try AtomicFile.replace(source, with: Array(text.utf8))
      let workspace = "\(folder)/w"
      expect(
        try spo(
          "run", SmallRun.pipeline, "--through", "ingest", "--workspace", workspace, "--quiet",
          "--set",
          "ingest.source=\(source)", "--set", "ingest.max_reject_fraction=1"), failsAs: .input,
        naming: "none of the 2 rows")
      let catalog = try #require(
        FileManager.default.enumerator(atPath: workspace)?.compactMap { $0 as? String }
          .first { $0.contains("catalog.sqlite") })
      #expect(catalog == "catalog.sqlite.building")
      let outcome = try spo("inspect", "\(workspace)/catalog.sqlite", "--rejected")
      #expect(outcome.errors.contains("is incomplete"), "\(outcome)")
      let lines = outcome.output.split(separator: "\n")
      #expect(lines.first == "file,row,column,stage,code,reason" && lines.count == 3, "\(outcome)")
      #expect(lines.last?.hasPrefix("\(source),1,image_0,ingest,missing-image,") == true)
    }
  }
}

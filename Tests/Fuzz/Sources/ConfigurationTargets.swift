import Diffusion
import Files
import Foundation
import NN
import PreferenceModels

/// Configurations of a model's parts, whose weights are those of the smallest model there is.
let configurationTargets: [FuzzTarget] = [
  part("unet-config", "unet/config.json") { folder in _ = try folder.unet() },
  part("vae-config", "vae/config.json") { folder in _ = try folder.autoencoder() },
  part("clip-config", "text_encoder/config.json") { folder in _ = try folder.textEncoder() },
  part("scheduler-config", "scheduler/scheduler_config.json") { folder in
    let config = try folder.schedulerConfig()
    for kind in SchedulerKind.allCases {
      guard let plan = try? SamplingPlan(config, kind: kind, stepCount: 3) else { continue }
      require(!plan.steps.isEmpty, "a plan without steps")
    }
    _ = try? config.asInStableDiffusionPipeline()
    _ = try DDIMScheduler(config).step(from: 1, stepCount: 10, eta: 1)
  },
  FuzzTarget(
    "preference-config",
    preparing: {
      let path = try Scratch.copy("data/tiny-preference", to: "preference")
      return { input in
        guard let (index, rest) = input.choice(of: 2) else { return }
        let file = "\(path)/\(["config.json", "preprocessor_config.json"][index])"
        let old = FileManager.default.contents(atPath: file) ?? Data()
        _ = Scratch.write(rest, to: file)
        defer { _ = Scratch.write([UInt8](old), to: file) }
        _ = try ModelFolder(path: path).preferenceConfiguration()
      }
    }),
]

/// A target that replaces one file of a copy of that model.
private func part(
  _ name: String, _ file: String, _ open: @escaping @Sendable (ModelFolder) throws -> Void
) -> FuzzTarget {
  FuzzTarget(
    name,
    preparing: {
      let path = try Scratch.copy("Tests/Fixtures/sample/model", to: "model")
      return { input in
        _ = Scratch.write(input, to: "\(path)/\(file)")
        try open(ModelFolder(path: path))
      }
    })
}

package com.google.ai.edge.litert

import android.content.res.AssetManager

enum class Accelerator { NONE, CPU, GPU, NPU }

class TensorBuffer : AutoCloseable {
    fun writeFloat(data: FloatArray): Unit = TODO()

    fun writeInt8(data: ByteArray): Unit = TODO()

    fun readFloat(): FloatArray = TODO()

    override fun close(): Unit = TODO()
}

class Environment

class CompiledModel : AutoCloseable {
    class Options(vararg val accelerators: Accelerator)

    fun createInputBuffer(inputName: String, signature: String? = null): TensorBuffer = TODO()

    fun createOutputBuffer(outputName: String, signature: String? = null): TensorBuffer = TODO()

    fun run(
        inputs: Map<String, TensorBuffer>,
        outputs: Map<String, TensorBuffer>,
        signature: String? = null,
    ): Unit = TODO()

    override fun close(): Unit = TODO()

    companion object {
        fun create(
            filePath: String, options: Options = TODO(), optionalEnv: Environment? = null,
        ): CompiledModel = TODO()

        fun create(
            assetManager: AssetManager,
            assetName: String,
            options: Options = TODO(),
            optionalEnv: Environment? = null,
        ): CompiledModel = TODO()
    }
}

package com.google.mediapipe.tasks.vision.imageclassifier

import android.content.Context
import com.google.mediapipe.framework.image.MPImage
import com.google.mediapipe.tasks.components.containers.ClassificationResult

abstract class ImageClassifierResult {
    abstract fun classificationResult(): ClassificationResult
}

class ImageClassifier : AutoCloseable {
    fun classify(image: MPImage): ImageClassifierResult = TODO()

    override fun close(): Unit = TODO()

    companion object {
        fun createFromFile(context: Context, modelPath: String): ImageClassifier = TODO()
    }
}
